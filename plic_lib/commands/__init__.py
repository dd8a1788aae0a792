"""The command ``plic``.

In reading order::

    main      which command, and what becomes of errors
    options   arguments that several commands have
    table     figures in columns

and one module for each command, with its arguments and what it does: ``encode``, ``decode``, ``info``, ``eval``,
``results``, ``eval_roi``, ``bench``, ``train``, ``restart``, ``ablate``, ``enhance``, ``freeze``, ``grade``,
``selftest``, ``doctor``. Only the module of the command that was typed is imported.
"""
