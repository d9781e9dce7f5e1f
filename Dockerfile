# One image for every part: migrate, watcher, worker, dashboard. No compiler and no TensorFlow is needed, so there
# is one stage. docker-compose.yml says what runs in it.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /app

# What is needed comes before the code, so that a change of code does not install it again. The project is installed
# as editable: the packages, `migrations` and `models` are found side by side in /app, as in a checkout. PYTHONPATH
# says so, since the installer links no packages that are not there yet.
ENV PYTHONPATH=/app
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN pip install --no-cache-dir --constraint constraints.txt --editable '.[dashboard]'

# The user that everything runs as: give it the numbers of whoever owns the inbox on the host (docs/deployment.md).
# A new volume takes over the owner of the folder that it is mounted on.
ARG TRIAGE_UID=1000
ARG TRIAGE_GID=1000
RUN groupadd --non-unique --gid "$TRIAGE_GID" triage \
    && useradd --non-unique --uid "$TRIAGE_UID" --gid triage --home-dir /tmp --no-create-home triage \
    && install --directory --owner triage --group triage --mode 0750 /var/lib/triage

COPY triage/ triage/
COPY worker/ worker/
COPY watcher/ watcher/
COPY dashboard/ dashboard/
COPY migrations/ migrations/
COPY .streamlit/ .streamlit/
COPY models/ models/
# Compiled here, because the container cannot write to its code. A checkout made with a strict umask would bring files
# that only root may read.
RUN PYTHONDONTWRITEBYTECODE= python -m compileall -q triage worker watcher dashboard migrations \
    && chmod -R a+rX /app

ENV HOME=/tmp TRIAGE_HOME=/var/lib/triage
USER triage
CMD ["triage", "--help"]
