"""Optimizers, schedules and losses of one model, with traced hyperparameters.

`optimizers.make_optimizer` chains optax transformations whose hyperparameters are arrays, so that members of one
program may differ in them. To add an optimizer or regularizer, add it to that chain and add a field in
`jaxgen.config.training`.
"""
