"""Where a data file comes from: the vocabulary of the registry."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An official address and what has to be done with what it holds.

    Attributes:
        url: Address of a file or archive; ``{part}`` stands for each subject or task.
        archive_sha256: Checksum of the archive, "" for a file or where none is published.
        member: The file inside the archive, "" for a plain file; ``{part}`` as in ``url``.
        bundling: How files by subject or task become one, "" where there is one file only;
            a name of ``bundling.BUNDLERS``.
        rewriting: How a single file's rows are changed, "" where the bytes are upstream's; a
            name of ``bundling.REWRITERS``.
    """

    url: str
    archive_sha256: str = ""
    member: str = ""
    bundling: str = ""
    rewriting: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One file of a data set.

    Attributes:
        path: Where it is in a data folder, without the ``.gz`` that a stored copy may have.
        sha256: Checksum of its content, uncompressed.
        rows: Samples in it.
        source: Where it can be downloaded, None where no address has exactly this content.
        opencompass: Where OpenCompass's data folder has the same bytes, "" where it has not.
    """

    path: str
    sha256: str
    rows: int
    source: Source | None = None
    opencompass: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """A data set with its licence.

    Attributes:
        name: What ``lightllm-evals data`` calls it.
        title: What its authors call it.
        home: Where its authors describe it.
        licence: Its licence.
        is_non_commercial: Never downloaded without being named.
        files: What belongs to it.
    """

    name: str
    title: str
    home: str
    licence: str
    is_non_commercial: bool = False
    files: tuple[DataFile, ...]
