"""The order in which measures of videos take their frames: video after video, each in its own order."""

from __future__ import annotations

from configs.errors import SourceError


class VideoOrder:
    """Notices where a video ends, and refuses one that comes back: what was known of it is forgotten."""

    def __init__(self) -> None:
        self.current: str | None = None
        self._seen: set[str] = set()

    def begins(self, video: str) -> bool:
        """Whether this frame is the first of its video; SourceError if the video was left before."""
        if video == self.current:
            return False
        if video in self._seen:
            raise SourceError(f"video {video}: its frames must come together, not among those of others")
        self._seen.add(video)
        self.current = video
        return True
