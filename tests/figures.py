"""Stick figures with known joints, in any skeleton: the data set of every test."""

from posegram.data.figures import draw, figure, pose, samples

__all__ = ["draw", "figure", "pose", "samples"]
