"""How one model is trained: optimizers, schedules and losses, whose strengths are arrays.

`optimizers.make_optimizer` chains optax transformations with traced strengths, so that members of one program may
differ in them. A new optimizer or regularizer is a link of that chain and a field in `jaxgen.config.training`.
"""
