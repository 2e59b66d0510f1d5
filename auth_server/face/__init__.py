"""The face engine: DeepFace with 4Auth's own detector, recogniser and anti-spoofing model in it.

What looks:
    runtime      the one place that imports DeepFace, with its environment set first
    plugins      the models as DeepFace plug-ins
    frames       JPEG bytes to pixels, refusing what is not one
    pipeline     one picture: faces, measures, embedding, presence
    looker       several frames at a time; a `glimpse` is what it keeps of each
What judges, pure:
    recording    frames, their times, and what the person was asked to do
    choice       the frames that a person is judged by; `enrolling` those that a face is enrolled from
    challenge    the movements drawn for an attempt, and looked for in its recording
    continuity   whether it is one recording; `repetition` and `copies` whether a picture was sent again
    judgement    all of these, to one `observation`
What logins call:
    engine       observe, enrol, re-embed
    calibration  thresholds and the error rates measured for them; `thresholds` are those in force
What measures, for `4auth-provision face`:
    survey       every picture of a folder once (`sighting`), by all cores (`crew`), kept in a `ledger`
    evaluation   error rates of the match, by `comparisons`, `statistics` and `accuracy`; `lfw` has the formats
    screening    every file (`footage`) held before the camera (`showing`, `trials`); `liveness` has the rates
    calibrating  a calibration file from both; `explaining` one comparison; `chips` pictures for a report
"""
