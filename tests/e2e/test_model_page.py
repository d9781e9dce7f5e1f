"""The parts of the model page that change the model, tell of weeks, or simulate, without a browser."""

from __future__ import annotations

import base64
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from bundles import add_images, copy_bundle, held_out, labels_of, make_active
from clinic import prediction
from sqlalchemy import Engine
from streamlit.testing.v1 import AppTest

from dashboard import model_simulation, model_switch, reader
from dashboard.by_week import last_weeks
from dashboard.permission import Person
from triage import queries
from triage.bundle import find_bundle
from triage.comparison import Comparison, Difference
from triage.database import sessions
from triage.intake import utc_now
from triage.records import Image, Study
from triage.settings import Settings, get_settings
from triage.switching import Answer, Request
from triage.urgency_weights import change_weights, current_weights
from triage.verdicts import give_verdict

BETTER = Comparison(60, 30, Difference(0.5, 0.4, 0.1, 0.02, 0.18), Difference(1.5, 1.7, -0.2, -0.3, -0.1))


pytestmark = pytest.mark.usefixtures("own_home")


@pytest.fixture
def two_versions(tmp_path: Path, model_path: Path, engine: Engine) -> None:
    """Two bundles of the clinic's own, of which the first is active, and was so after the one that ships."""
    models = Settings(home=tmp_path).models_dir
    copy_bundle(model_path, models, "old-1"), copy_bundle(model_path, models, "new-1")
    make_active(models, "old-1")
    with sessions(engine).begin() as session:
        detail = {"from": model_path.name, "to": "old-1"}
        queries.record_event(session, "model_promoted", None, actor="Ada", at=utc_now(), detail=detail)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What the page asks the other process for; each preview finds the version better, and each switch is done."""
    requests: list[Request] = []

    def switch(_settings: Settings, request: Request) -> Answer:
        requests.append(request)
        if request.action == "preview":
            return Answer("tried", "old-1", request.version, BETTER)
        return Answer("switched", request.expected, request.version or "the-one-before")

    monkeypatch.setattr(model_switch, "switch", switch)
    return requests


def shown(app: AppTest) -> str:
    assert not app.exception, app.exception
    return "\n".join(block.proto.body for block in app.get("html"))


def versions(name: str = "Ada") -> AppTest:
    app = AppTest.from_function(_versions, default_timeout=30)
    app.session_state["reader_name"] = name
    return app.run()


def _versions() -> None:
    from dashboard import model_versions

    model_versions.show()


def click(app: AppTest, key: str) -> str:
    return shown(app.button(key=key).click().run())


@pytest.mark.usefixtures("two_versions")
def test_a_version_is_compared_confirmed_and_made_active(asked: list[Request]) -> None:
    app = versions()
    app.selectbox(key="model_version_chosen").select("new-1")
    said = click(app, "model_compare")
    assert "Make new-1 active?" in said
    assert "Active now: old-1." in said
    assert "On the same 60 held-out images" in said
    assert "40.0 %" in said
    assert "+10.0 points (+2.0 to +18.0)" in said
    assert [button.key for button in app.button] == ["model_confirm", "model_cancel"]
    said = click(app, "model_confirm")
    assert "new-1 is active; it was old-1. The audit trail says that it was Ada." in said
    assert asked == [Request("preview", "Ada", "new-1"), Request("promote", "Ada", "new-1", expected="old-1")]


@pytest.mark.usefixtures("two_versions")
def test_what_is_left_as_it_is_asks_for_nothing_more(asked: list[Request]) -> None:
    app = versions()
    click(app, "model_compare")
    assert "Make" not in click(app, "model_cancel")
    assert [request.action for request in asked] == ["preview"]


@pytest.mark.usefixtures("two_versions", "asked")
def test_going_back_says_where_to_before_it_does(asked: list[Request], model_path: Path) -> None:
    app = versions()
    said = click(app, "model_go_back")
    assert f"Go back to {model_path.name}?" in said
    assert "Active now: old-1." in said
    assert asked == []
    app.text_input(key="model_switch_reason").set_value(" wrong on hands ")
    assert "the-one-before is active; it was old-1." in click(app, "model_confirm")
    assert asked == [Request("roll_back", "Ada", reason="wrong on hands", expected="old-1")]


@pytest.mark.usefixtures("two_versions")
def test_an_objection_takes_a_reason_and_a_refusal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[Request] = []

    def switch(_settings: Settings, request: Request) -> Answer:
        requests.append(request)
        if request.action == "preview":
            return Answer("tried", "old-1", "new-1", objection="new-1 is worse than old-1")
        return Answer("refused", message="other-1 is active by now, not old-1: somebody was faster.")

    monkeypatch.setattr(model_switch, "switch", switch)
    app = versions()
    app.selectbox(key="model_version_chosen").select("new-1")
    assert "It takes a reason: new-1 is worse than old-1." in click(app, "model_compare")
    assert "Say why before you make this version active." in click(app, "model_confirm")
    assert len(requests) == 1
    app.text_input(key="model_switch_reason").set_value("better on hands")
    said = click(app, "model_confirm")
    assert "The active version stays. Other-1 is active by now, not old-1: somebody was faster." in said
    assert requests[1:] == [Request("promote", "Ada", "new-1", "better on hands", "old-1")]


@pytest.mark.usefixtures("two_versions")
def test_a_process_that_failed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_switch, "switch", lambda *_: Answer("failed"))
    assert "That did not come to an end." in click(versions(), "model_compare")


@pytest.mark.usefixtures("two_versions")
def test_whoever_may_not_change_the_model_sees_no_buttons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "person", lambda: Person("Eve", "eve@clinic.example", signed_in=True))
    app = versions("")
    assert "You cannot change the model here" in shown(app)
    assert (list(app.button), list(app.selectbox)) == ([], [])


@pytest.mark.usefixtures("two_versions")
def test_nobody_changes_the_model_without_a_name(asked: list[Request]) -> None:
    app = versions("")
    assert list(app.button) == []
    assert app.text_input[0].label.startswith("Who changes the model?")
    app.text_input[0].set_value("Grace").run()
    click(app, "model_compare")
    assert [request.actor for request in asked] == ["Grace"]


@pytest.mark.usefixtures("two_versions")
def test_a_pinned_model_is_not_changed_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[Request]
) -> None:
    monkeypatch.setenv("TRIAGE_MODEL", str(Settings(home=tmp_path).models_dir / "new-1"))
    get_settings.cache_clear()
    app = versions()
    assert "TRIAGE_MODEL names the model" in shown(app)
    assert [button.disabled for button in app.button] == [True, True]
    assert asked == []


def test_with_one_version_there_is_nothing_to_change_to(engine: Engine) -> None:
    app = versions()
    assert "There is no other usable version." in shown(app)
    assert [button.disabled for button in app.button] == [True, True]


# -- weeks -----------------------------------------------------------------------------------------------------


def add(engine: Engine, count: int, at: datetime, *, review: int = 0, unlike: int = 0, **values: object) -> list[int]:
    """Images that the active version judged at a time, the first of which need review, or are unlike what it knows."""
    version = find_bundle(get_settings()).name
    ids = []
    with sessions(engine).begin() as session:
        queries.keep_model_version(session, version, "d" * 64, ("Spiral fracture", "Greenstick fracture"), at)
        for number in range(count):
            image = Image(source="folder", source_name="a", received_at=at, status="queued", attempts=0,
                          study=Study(created_at=at), **values)  # fmt: skip
            session.add(image)
            session.flush()
            said = prediction(0.4, number < review, version)
            said.created_at, said.unfamiliarity = at, 9.0 if number < unlike else 0.5
            queries.finish(session, image, said, actor="worker")
            ids.append(image.id)
    return ids


def _weeks() -> None:
    from dashboard import model_agreement, model_drift, opened_bundles
    from triage.bundle import find_bundle
    from triage.settings import get_settings

    bundle = opened_bundles.opened(find_bundle(get_settings()))
    model_agreement.show(bundle.version)
    model_drift.show(bundle)


def weeks() -> str:
    return shown(AppTest.from_function(_weeks, default_timeout=30).run())


def pictures(said: str) -> list[tuple[str, str]]:
    """Every chart: what it is in words, and what it draws."""
    found = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"[^>]* alt="([^"]*)"', said)
    return [(words, base64.b64decode(drawn).decode()) for drawn, words in found]


def test_before_the_first_image_nothing_is_drawn(engine: Engine) -> None:
    said = weeks()
    assert "No verdicts yet" in said
    assert "This version judged no images in the last 12 weeks" in said
    assert pictures(said) == []


def test_few_images_are_drawn_and_not_judged(engine: Engine) -> None:
    add(engine, 9, utc_now(), unlike=9)
    said = weeks()
    assert "Too little to judge: in no week of the last 12 did this version see 50 images or more." in said
    assert 'role="alert"' not in said
    assert all('class="few"' in drawn for _, drawn in pictures(said)[1:])


def test_a_week_that_is_unlike_the_others_stands_out(engine: Engine) -> None:
    now = utc_now()
    add(engine, 60, now - timedelta(weeks=3), review=20, unlike=1, body_part="HAND")
    add(engine, 60, now, review=20, unlike=12)
    monday = now.astimezone().date() - timedelta(days=now.astimezone().weekday())
    said = weeks()
    assert (
        f"In the week of {monday:%d %b}, 12 of 60 images were unlike those that it learnt from (20.0 %; 1.4 % of"
        in said
    )
    assert "asked for a human at" not in said  # a third, where it is four tenths of those it was tested on
    (_, bars), (confidence, _), (unlike, _), (review, _) = pictures(said)
    assert bars.count("<rect") == 12
    assert confidence.endswith(f"week of {monday:%d %b}: median 40%, middle half 40% to 40%, of 60 images")
    earlier = f"{monday - timedelta(weeks=3):%d %b}"
    assert unlike == f"week of {earlier}: 1 of 60 (1.7 %); week of {monday:%d %b}: 12 of 60 (20.0 %)"
    assert review == f"week of {earlier}: 20 of 60 (33.3 %); week of {monday:%d %b}: 20 of 60 (33.3 %)"
    assert f'title="HAND, week of {earlier}: 60 of 60"' in said
    assert f'title="Not said by the file, week of {monday:%d %b}: 60 of 60"' in said


def test_a_week_like_the_images_it_was_tested_on_is_not_praised(engine: Engine) -> None:
    add(engine, 60, utc_now(), review=20)
    said = weeks()
    assert "no more of its 60 images than expected" in said
    assert "That does not say that it was right on them." in said


def test_verdicts_are_shown_by_week_and_by_type(engine: Engine) -> None:
    now = utc_now()
    images = add(engine, 4, now - timedelta(weeks=2))
    with sessions(engine).begin() as session:
        for image_id, verdict, back in zip(images, ("agree", "other", "agree", "agree"), (2, 2, 0, 30), strict=True):
            give_verdict(session, image_id, verdict, reviewer="AB", at=now - timedelta(weeks=back))
    said = weeks()
    today = now.astimezone().date()
    monday, earlier = (today - timedelta(days=today.weekday(), weeks=back) for back in (0, 2))
    words, drawn = pictures(said)[0]
    assert words == f"week of {earlier:%d %b}: 1 of 2 agreed; week of {monday:%d %b}: 1 of 1 agreed"
    assert drawn.count("<circle") == drawn.count('class="few"') == 2
    assert "3 of 4: few verdicts" in said  # the one from long ago counts here
    assert '<td class="number">1 / 2</td>' in said


def test_weeks_begin_on_the_readers_monday_also_when_the_clock_changes() -> None:
    now = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)  # 1 April in Berlin
    found = last_weeks(now, ZoneInfo("Europe/Berlin"), 2)
    assert [(week.monday, week.is_over) for week in found] == [(date(2026, 3, 23), True), (date(2026, 3, 30), False)]
    assert (found[0].begin, found[0].end) == (
        datetime(2026, 3, 22, 23, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC),
    )  # fmt: skip
    assert found[0].end == found[1].begin


# -- the simulation --------------------------------------------------------------------------------------------


def _sorting() -> None:
    from dashboard import model_simulation, opened_bundles
    from triage.bundle import find_bundle
    from triage.settings import get_settings

    model_simulation.show(opened_bundles.opened(find_bundle(get_settings())))


def sorting() -> str:
    return shown(AppTest.from_function(_sorting, default_timeout=30).run())


def test_the_simulation_says_whom_sorting_makes_wait(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_simulation, "IMAGES", 4000)
    said = sorting()
    assert "at each load 4,000 images arrive at random" in said
    ((words, drawn),) = pictures(said)
    assert words.count("Hairline fracture") == 3
    assert "Hairline fracture (0.2)</text>" in drawn
    assert drawn.count("<circle") == 3 * 2 * 10 + 2  # two orders of ten types at three loads, and the legend
    assert "All together wait no less" in said
    longer = said[said.index("These types wait longer") : said.index("<details>")]
    assert "Hairline fracture" in longer
    assert "Fracture dislocation" not in longer


def test_the_simulation_goes_by_the_weights_that_count_here(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_simulation, "IMAGES", 4000)
    with sessions(engine).begin() as session:
        weights = dict(current_weights(session).weights) | {"Hairline fracture": 1.0, "Fracture dislocation": 0.0}
        change_weights(session, weights, actor="AB", at=utc_now())
    said = sorting()
    longer = said[said.index("These types wait longer") : said.index("<details>")]
    assert "Fracture dislocation" in longer
    assert "Hairline fracture" not in longer


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("images", [0, 40])
def test_a_bundle_that_tells_too_little_is_not_simulated(tmp_path: Path, model_path: Path, images: int) -> None:
    models = Settings(home=tmp_path).models_dir
    path = copy_bundle(model_path, models, "own-1")
    if images:
        add_images(path, held_out(labels_of(path), images, 0))
    make_active(models, "own-1")
    said = sorting()
    assert "nobody can say whom sorting by it would help" in said
    assert pictures(said) == []
