"""What both sides see in a picture: faces, where they look, and whether they can be judged.

The kiosk guides people by it, the server decides by it; the rules stand here once.

models       the pinned model files: fetch, check
sessions     the one place that imports onnxruntime, with its environment set first
geometry     boxes, crops, alignment
detector     where faces are
landmarks    68 points of a face
pose, eyes   where it looks, whether its eyes are open
light        how it is lit, and how sharp it is
sight        all of these over one picture: a `Look`
look         what was measured, as plain numbers
quality      the rules over a `Look`, each with its code
movement     the steps that a person is asked to do, and when one was done
"""
