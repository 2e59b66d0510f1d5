"""The face engine: DeepFace with 4Auth's own detector, recogniser and anti-spoofing model in it.

runtime      the one place that imports DeepFace, with its environment set first
plugins      the models as DeepFace plug-ins
pipeline     one picture: faces, measures, embedding, presence
frames       JPEG bytes to pixels, refusing what is not one
engine       several pictures: observe, enrol, re-embed
calibration  thresholds and the error rates measured for them; `thresholds` are those in force

Measuring, for `4auth-provision face`:

lfw, sighting, survey        pictures of many people, each looked at once
comparisons, statistics      all distances across people, and what they allow to claim
evaluation, accuracy         error rates of the match
footage, showing, screening  recordings held before the camera
liveness                     error rates of presence
calibrating, explaining      a calibration file, and one comparison in words
crew, ledger                 all cores, and going on after a stop
"""
