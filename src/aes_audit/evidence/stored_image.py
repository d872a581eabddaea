"""An image of the store where a picture is asked for: to be scored like a file, or to be edited."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aes_audit.evidence.art_pictures import Unreadable
from aes_audit.evidence.store import ImageRecord, Store

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["StoredImage"]


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A Picture and a SourcePicture; a missing image is unreadable, for the reason why it is missing."""

    store: Store
    """Where it lies."""
    record: ImageRecord
    """What the store knows about it."""

    @property
    def sha256(self) -> str:
        """Digest of its file; raises Unreadable."""
        if self.record.sha256 is None:
            raise Unreadable(self.record.error or "there is no image")
        return self.record.sha256

    def key(self) -> str:
        """Digest of its file; raises Unreadable."""
        return self.sha256

    def size(self) -> int:
        """Number of pixels; raises CorruptObject where its bytes have changed."""
        with self._opened() as image:
            return int(image.width * image.height)

    def open(self) -> Image:
        """The picture; raises CorruptObject where its bytes have changed."""
        return self._opened().convert("RGB")

    def _opened(self) -> Image:
        from PIL import Image

        return Image.open(io.BytesIO(self.store.read_image(self.record)))
