"""Training of many members at once, as pure functions of arrays: no files, no flags, no clock.

`ensemble.Ensemble` maps the functions of `training` (start, advance, refill) and `examination` (finish) over members
and devices; `members` holds the records that they pass on. What all members share is one `EnsembleConfig`; what one
member trains on is the `MemberConfig` that its ``make_member`` returns. New behaviour comes in by a field of one of
these, never by the name of an experiment.
"""
