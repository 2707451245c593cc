"""Reports: one self-contained page and its JSON, from one frozen record."""

from .data import (
    Accuracy,
    Candidate,
    Choice,
    Latency,
    LimitUse,
    MappingView,
    Provenance,
    ReportData,
    Resource,
    Timing,
)
from .page import render, to_html, to_json
from .plots import plot_graph, plot_recording

__all__ = [
    "Accuracy",
    "Candidate",
    "Choice",
    "Latency",
    "LimitUse",
    "MappingView",
    "Provenance",
    "ReportData",
    "Resource",
    "Timing",
    "plot_graph",
    "plot_recording",
    "render",
    "to_html",
    "to_json",
]
