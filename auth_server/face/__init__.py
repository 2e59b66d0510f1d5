"""The face engine: DeepFace with 4Auth's own detector, recogniser and anti-spoofing model in it.

models       the pinned model files: fetch, check
runtime      the one place that imports onnxruntime and DeepFace, with their environment set first
plugins      the models as DeepFace plug-ins
pipeline     one picture: faces, alignment, embedding, presence
quality      whether a picture can be judged at all
frames       JPEG bytes to pixels, refusing what is not one
engine       several pictures: observe, enrol, re-embed
calibration  thresholds and the error rates measured for them; `evaluation` measures
"""
