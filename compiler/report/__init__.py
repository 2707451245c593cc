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
from .profile_data import EnergyLine, ProfileView, Wait

__all__ = [
    "Accuracy",
    "Candidate",
    "Choice",
    "EnergyLine",
    "Latency",
    "LimitUse",
    "MappingView",
    "ProfileView",
    "Provenance",
    "ReportData",
    "Resource",
    "Timing",
    "Wait",
    "plot_graph",
    "plot_recording",
    "render",
    "to_html",
    "to_json",
]
