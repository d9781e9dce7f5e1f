"""The classifier of the bundle in use, exchanged when another version is made active."""

from __future__ import annotations

import logging
from collections.abc import Callable

from triage.bundle import BundleError, active_stamp, find_bundle
from triage.classifier import Classifier, load_classifier
from triage.settings import Settings

log = logging.getLogger(__name__)


class ActiveClassifier:
    """Gives the classifier to use, and loads another one once the active version has changed.

    A version that cannot be loaded is logged once, and the one that works stays in use. A model that the settings pin
    is never exchanged.

    Args:
        settings: where bundles are, and whether one is pinned.
        load: loads the classifier in use.

    Raises:
        BundleError: there is no usable model to begin with.
    """

    def __init__(self, settings: Settings, load: Callable[[Settings], Classifier] = load_classifier) -> None:
        self._settings = settings
        self._load = load
        # Looked at before loading: a change that comes meanwhile is found at the next look.
        self._stamp = None if settings.model is not None else active_stamp(settings)
        self._classifier = load(settings)

    def current(self) -> Classifier:
        """The classifier for the next message. Asked before each one: two looks at the disk unless there is news."""
        if self._stamp is None:
            return self._classifier
        stamp = active_stamp(self._settings)
        if stamp != self._stamp:
            self._exchange()
            self._stamp = stamp  # not before: an interruption of the loading leaves it to the next message
        return self._classifier

    def _exchange(self) -> None:
        before = self._classifier.bundle
        try:
            if find_bundle(self._settings) == before.path:
                return
            self._classifier = self._load(self._settings)
        except (BundleError, MemoryError, OSError, RuntimeError, ValueError) as error:
            log.error("the active model cannot be used, %s stays in use: %s", before.version, error)
        else:
            log.info("model %s takes over from %s", self._classifier.bundle.version, before.version)
