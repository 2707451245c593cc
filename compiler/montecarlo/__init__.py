"""Monte Carlo: what chips of one network do, from chip to chip and from condition to condition.

`chips` evaluates one chip, `study` says which there are and what all of them come to. Journal and
workers are those of `explore`.
"""
