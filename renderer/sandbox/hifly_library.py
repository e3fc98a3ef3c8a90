"""Hifly's avatars and voices: the public ones, and one's own once their clones are done.

A clone's identifier is made from its task, so that it can be found again without a list. Tuning
changes a voice in place; the last tuning counts.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from .desk import Desk
from .tasks import Task

PUBLIC_VOICES: Mapping[str, str] = MappingProxyType(
    {"voice_public_01": "晓月", "voice_public_02": "Oliver", "voice_public_03": "Grace"}
)
"""The public voices of this sandbox and their titles, stable over versions."""
PUBLIC_AVATARS: Mapping[str, str] = MappingProxyType({"av_public_01": "主播一号", "av_public_02": "Presenter"})
"""The public avatars of this sandbox and their titles, stable over versions."""

AVATAR_MAKERS = frozenset({"avatar-by-video", "avatar-by-image"})
VOICE_MAKERS = frozenset({"voice"})
UNTITLED = "未命名"
_TUNABLE = ("rate", "volume", "pitch")
_OWN_VOICE, _PUBLIC_VOICE = 8, 10
_OWN, _PUBLIC = 1, 2


class Library:
    """What can speak and be seen."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def clone_id(self, task: str, *, operation: str) -> str:
        """Name the avatar or voice that a task will make."""
        return f"{'voice' if operation in VOICE_MAKERS else 'av'}_{task}"

    def has_voice(self, voice: str) -> bool:
        """Tell whether a voice can be used now."""
        return voice in PUBLIC_VOICES or self._is_own(voice, VOICE_MAKERS)

    def has_avatar(self, avatar: str) -> bool:
        """Tell whether an avatar can be used now."""
        return avatar in PUBLIC_AVATARS or self._is_own(avatar, AVATAR_MAKERS)

    def voices(self, *, public: bool) -> list[dict[str, Any]]:
        """List voices as the API does, the newest of one's own first."""
        tunings = {
            task.facts["voice"]: task.facts
            for task in reversed(list(self._desk.newest()))
            if task.operation == "voice-tuning"
        }
        kind = _PUBLIC_VOICE if public else _OWN_VOICE
        titles = PUBLIC_VOICES if public else self._own(VOICE_MAKERS)
        return [
            {
                "voice": voice,
                "type": kind,
                "title": title,
                **{name: tunings.get(voice, {}).get(name, "1.0") for name in _TUNABLE},
            }
            for voice, title in titles.items()
        ]

    def avatars(self, *, public: bool) -> list[dict[str, Any]]:
        """List avatars as the API does, the newest of one's own first."""
        titles = PUBLIC_AVATARS if public else self._own(AVATAR_MAKERS)
        kind = _PUBLIC if public else _OWN
        return [{"avatar": avatar, "kind": kind, "title": title} for avatar, title in titles.items()]

    def _own(self, makers: frozenset[str]) -> dict[str, str]:
        return {
            self.clone_id(task.id, operation=task.operation): task.body.get("title") or UNTITLED
            for task in self._desk.newest()
            if task.operation in makers and self._is_done(task)
        }

    def _is_own(self, clone: str, makers: frozenset[str]) -> bool:
        task = self._desk.find(clone.partition("_")[2])
        return (
            task is not None
            and task.operation in makers
            and clone == self.clone_id(task.id, operation=task.operation)
            and self._is_done(task)
        )

    def _is_done(self, task: Task) -> bool:
        return self._desk.tasks.progress(task) >= 1 and self._desk.failure(task) is None
