"""The face engine: DeepFace with 4Auth's own detector, recogniser and anti-spoofing model in it.

runtime      the one place that imports DeepFace, with its environment set first
plugins      the models as DeepFace plug-ins
pipeline     one picture: faces, measures, embedding, presence
frames       JPEG bytes to pixels, refusing what is not one
engine       several pictures: observe, enrol, re-embed
calibration  thresholds and the error rates measured for them; `thresholds` are those in force, `evaluation` measures
"""
