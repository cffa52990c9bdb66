"""Moves traffic from the live colour to the other one."""

from remediator.actions.clients import Params


class SwitchColourParams(Params):
    """The switch needs nothing: file, colours and probes are the topology's."""
