"""Marking submitted notebooks: what their tasks and exercises do, judged where they cannot reach.

A submission's code is never in the process that knows solutions and compares. In reading order::

    slices   which statements of a notebook a cell needs, so that it runs alone
    proxies  what stands in one process for functions and objects of the other
    wire     how values go across
    remote   calls across, with gradients
    runner   the process in which a submission runs
    sandbox  the walls around it
    judge    what there is to mark in a notebook, and one submission of it
    course   a folder of submissions, and the table
"""
