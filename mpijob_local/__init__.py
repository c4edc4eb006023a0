"""Run a ``kubeflow.org/v2beta1`` MPIJob manifest on one machine with podman.

Does what mpi-operator and the kubelet do, so that an image and a manifest can be tried
before a cluster sees them. Imports go down only:

    cli
    run, build                            put everything together
    job, removal                          the order of things; what is removed
    pods, readiness                       pods that run
    node, network, images, base_image     effects, each on one thing
    hook, links                           links with a rate
    kubelet, watch, logs, state, output   files, processes and what people see
    machine, podman                       the only runner of podman, set up for this machine
    containers, layout, manifest          pure: manifest -> layout -> arguments of podman
    validation, operators, pod            pure: whose rules hold, whose way it is done
    models, yamlfile, quantity, expansion, attempts, rates, pipconf, settings
"""

__version__ = "0.1.0"
