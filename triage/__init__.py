"""The shared core of the triage worker: everything that more than one process needs."""

NOTICE = (
    "An aid for ordering work and a second opinion, not a diagnosis. "
    "A low rank does not mean normal: the model knows no 'no fracture'."
)
