"""The texts of whom sorting helps, and whom it makes wait."""

from __future__ import annotations

from triage.simulation import BOUNDED, FIRST_COME, READING_MINUTES, URGENCY, WORKLIST, Wait

SIMULATION = "Does sorting help?"
HELP = (
    "A simulation, not a measurement here: at each load {count:,} images arrive at random, and one person reads them, "
    "{reading:.0f} minutes each on average. They are drawn from the {images:,} images that this version was tested on, "
    "types as often as there, each with what was said of it unseen; sorted with the weights of urgency that count here "
    "now. A clinic sees other images, also without a fracture."
)
UNKNOWN = (
    "The bundle of this version does not tell what it said of the images that it was tested on, so nobody can say whom "
    "sorting by it would help, and whom it would make wait."
)
COMPUTING = "Working out whom sorting helps. Once for each version and set of weights; this takes some seconds …"
PANEL = "Reader busy {load:.0%} of the time"
MINUTES = "mean wait, minutes"
TYPE = "{label} ({weight:g})"
ORDERS = {
    FIRST_COME: "First come, first served",
    WORKLIST: "Worklist as it opens",
    URGENCY: "Most urgent",
    BOUNDED: "Most urgent, {longest:.0f} minutes at most",
}
LEGEND = "Types with their weight of urgency, the most urgent on top; a line joins what sorting by urgency changes."
ALT = "{panel}: {waits}"
ALT_TYPE = "{label} {before} minutes first come, first served, {after} sorted by urgency"

NOT_TITLE = "Where it does not help"
NOT_ALL = (
    "All together wait no less: the mean is {first} minutes first come, first served, and {urgent} sorted by urgency "
    "({load:.0%} busy). Sorting only shifts waits from one image to another."
)
NOT_LITTLE = (
    "With little to do ({load:.0%} busy) hardly anybody waits, {first} minutes on average: no order can gain much."
)
NOT_LONGER = (
    "These types wait longer when the most urgent go first. Minutes: first come, first served → most urgent, on "
    "average, and in brackets for 95 of 100 at most; empty: no longer."
)
NOT_WORKLIST = (
    "The order in which the worklist opens, by review and confidence, says what the model understands, not what is "
    "urgent: at {load:.0%} busy it changes the mean wait of a type by {most:.0%} at most."
)
NOT_BOUNDED = (
    "With far too much to do, a short longest wait makes every order first come, first served: at {load:.0%} busy and "
    "{longest:.0f} minutes, the type that gains most waits {best} minutes instead of {first}; without a longest wait, "
    "{urgent}."
)
LONGEST = "Without a longest wait, the image that waits longest does so for {hours:.0f} hours at {load:.0%} busy."
NUMBERS = "All types and orders in numbers: minutes, mean / 95 of 100 wait at most"
ALL = "All"
LOADED = "{order}, {load:.0%}"


def minutes(value: float) -> str:
    """Minutes with as many digits as they deserve."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def wait(found: Wait) -> str:
    """A wait in a table."""
    return f"{minutes(found.mean)} / {minutes(found.p95)}"


def longer(before: Wait, after: Wait) -> str:
    """How much longer somebody waits."""
    means = f"{minutes(before.mean)} → {minutes(after.mean)}"
    return f"{means} ({minutes(before.p95)} → {minutes(after.p95)})"


def order(name: str, longest: float) -> str:
    """An order as it is called."""
    return ORDERS[name].format(longest=longest)


def help_text(count: int, images: int) -> str:
    """What was simulated."""
    return HELP.format(count=count, images=images, reading=READING_MINUTES)
