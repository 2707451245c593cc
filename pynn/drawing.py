"""PyNN's random numbers and its space, whose wrong parameters are coded."""

from __future__ import annotations

from pyNN import random, space

from .where import CodedModel


class NumpyRNG(CodedModel, random.NumpyRNG):
    __doc__ = random.NumpyRNG.__doc__


class RandomDistribution(CodedModel, random.RandomDistribution):
    __doc__ = random.RandomDistribution.__doc__


class Space(CodedModel, space.Space):
    __doc__ = space.Space.__doc__
