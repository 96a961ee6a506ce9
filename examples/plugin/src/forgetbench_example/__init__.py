"""A template plug-in: tasks, a metric, a judge and two models."""

from __future__ import annotations

from pathlib import Path

TASKS = Path(__file__).parent / "tasks"
"""Folder of the task files."""
