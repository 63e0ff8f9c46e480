"""Plan → files that start it: one module an exporter, entered under its name in the registry."""

from __future__ import annotations

import inspect

from chipwise.errors import BadInput, UnknownName
from chipwise.export import dynamo, kubernetes, sglang, skypilot, trtllm, vllm
from chipwise.export.job import Job, read_job
from chipwise.export.readme import comments, guide
from chipwise.registry import EXPORTERS

__all__ = ["TARGETS", "Job", "read_job", "render"]

_MODULES = (vllm, sglang, trtllm, dynamo, kubernetes, skypilot)
TARGETS = tuple(m.__name__.rpartition(".")[2] for m in _MODULES)
_ENGINES = ("vllm", "sglang", "trtllm")


def render(job: Job, to: str, *, image: str | None = None, lang: str = "en") -> dict[str, str]:
    """Text of every file of an export, by name.

    Parameters
    ----------
    job : Job
        Of a plan, as `read_job` finds it.
    to : str
        Exporter, one of `TARGETS`.
    image : str, optional
        Of the containers; the engine's own unless given.
    lang : str
        Of the README and the comments.

    Raises
    ------
    BadInput
        If there is no such exporter, or the plan is of another engine.
    Infeasible
        If the target has no way to say what the plan says.
    """
    if to not in EXPORTERS:
        raise UnknownName("target", to, EXPORTERS)
    if to in _ENGINES and to != job.backend:
        raise BadInput(
            f"the plan is for {job.backend}; export it to {job.backend}, or plan anew "
            f"with --backend {to}"
        )
    function = EXPORTERS[to]
    takes = "image" in inspect.signature(function).parameters
    if image is not None and not takes:
        raise BadInput(f"{to} starts no containers; --image is for dynamo, kubernetes, skypilot")
    files: dict[str, str] = function(
        job, comments(job, lang), **({"image": image} if takes else {})
    )
    return {**files, "README.md": guide(job, to, files, lang)}
