"""Turns upstream's files into the one file that the registry's checksum is of.

Only the container changes: order and text stay. MMLU, C-Eval and CMMLU come as one CSV a
subject, BIG-Bench Hard as one JSON or text file a task, WinoGrande and BoolQ with a field more
or a label of another type than the copies that mirrors carry.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Parts = Mapping[str, bytes]


def _lines(rows: Iterable[Mapping[str, Any]], *, ascii_only: bool = False) -> bytes:
    return "".join(f"{json.dumps(row, ensure_ascii=ascii_only)}\n" for row in rows).encode()


def _csv_rows(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def bundle_mmlu(parts: Parts) -> bytes:
    """Returns MMLU's headless CSV files (question, four choices, letter) as one."""
    return _lines(
        {
            "subject": subject,
            "question": row[0],
            "choices": row[1:5],
            "answer": "ABCD".index(row[5]),
        }
        for subject, content in parts.items()
        for row in _csv_rows(content)
    )


def bundle_numbered(parts: Parts) -> bytes:
    """Returns C-Eval's or CMMLU's CSV files as one; the first column is the id."""
    rows = []
    for subject, content in parts.items():
        header, *records = _csv_rows(content)
        names = ["id", *header[1:]]
        for record in records:
            row = dict(zip(names, record, strict=True))
            rows.append({"subject": subject, **row, "id": int(row["id"])})
    return _lines(rows)


def bundle_bbh(parts: Parts) -> bytes:
    """Returns BIG-Bench Hard's tasks as one file."""
    return _lines(
        {"task": task, "input": example["input"], "target": example["target"]}
        for task, content in parts.items()
        for example in json.loads(content)["examples"]
    )


def bundle_bbh_canary(parts: Parts) -> bytes:
    """Returns the canary notice that every task's file carries."""
    first = next(iter(parts.values()))
    return f"{json.loads(first)['canary']}\n".encode()


def bundle_bbh_prompts(parts: Parts) -> bytes:
    """Returns the tasks' chain-of-thought prompts as one JSON object."""
    prompts = {task: content.decode() for task, content in parts.items()}
    return f"{json.dumps(prompts, indent=1, ensure_ascii=False)}\n".encode()


def drop_qid(rows: Iterable[dict[str, Any]]) -> bytes:
    """Returns WinoGrande's rows without their ids."""
    return _lines({key: row[key] for key in row if key != "qID"} for row in rows)


def string_labels(rows: Iterable[dict[str, Any]]) -> bytes:
    """Returns BoolQ's rows with "true" and "false" for the labels."""
    return _lines(({**row, "label": str(row["label"]).lower()} for row in rows), ascii_only=True)


BUNDLERS: Mapping[str, Callable[[Parts], bytes]] = {
    "mmlu": bundle_mmlu,
    "ceval": bundle_numbered,
    "cmmlu": bundle_numbered,
    "bbh": bundle_bbh,
    "bbh_canary": bundle_bbh_canary,
    "bbh_prompts": bundle_bbh_prompts,
}

REWRITERS: Mapping[str, Callable[[Iterable[dict[str, Any]]], bytes]] = {
    "drop_qid": drop_qid,
    "string_labels": string_labels,
}
