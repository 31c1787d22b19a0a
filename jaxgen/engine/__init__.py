"""Training of many members at once, as pure functions of arrays: no files, no flags, no clock.

`ensemble.Ensemble` maps the functions of `training` (start, advance, refill) and `evaluation` (finish) over members and
devices; `members` has the records that they share. What all members share is one `EnsembleConfig`; what one member
trains on is the `MemberConfig` that ``make_member`` returns.

An experiment adds behaviour by three hooks, pure functions in `EnsembleConfig`:

* ``sampler`` draws the order of an epoch and the batch of a step, with a state where it needs one (`members.Sampler`;
  `sampling.SHUFFLED` is plain training);
* ``input_transform`` changes the inputs of training examples;
* ``epoch_metrics`` says what is measured after each epoch and at the end (`members.EpochMetrics`; more curves by its
  ``after_epoch``).

What hooks need of a member goes into ``MemberConfig.extra``. The engine knows no experiment by name: a new method is a
new hook beside its experiment, hardly ever a new field here.
"""
