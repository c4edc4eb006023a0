"""Every row, by what it is about."""

from field.rows import Row

_NCCL_TESTS = "awsome-distributed-training, nccl-tests.yaml"
_OPERATOR = "kubeflow/mpi-operator, examples/v2beta1"
_HOST = "$(awk 'NR == 1 {print $1}' /etc/mpi/hostfile)"
_HOSTS = "$(awk '{print $1}' /etc/mpi/hostfile | paste -sd,)"
# what TensorFlow's and Horovod's examples give to mpirun, in the spelling of Open MPI 4.1
_SINGLE_DASHES = (
    "--allow-run-as-root -np 2 -bind-to none -map-by slot -x NCCL_DEBUG=INFO -x LD_LIBRARY_PATH"
    " -x PATH -mca pml ob1 -mca btl ^openib"
)

OPTIONS = (
    Row(
        "single-dashes",
        "`-bind-to none -map-by slot -x … -mca pml ob1 -mca btl ^openib`",
        f"{_OPERATOR}: TensorFlow benchmarks, Horovod",
        f"mpirun {_SINGLE_DASHES} python -c 'import os; print(os.uname().nodename)'",
        ends={"5.0": 64},
        next_step="next: write --bind-to none for -bind-to none; write --map-by slot",
        remark="says the spelling of 5.0",
    ),
    Row(
        "double-dashes",
        "the same in double dashes, with `-x` and NCCL's variables",
        f"{_OPERATOR}; cloud providers' guides",
        "mpirun --allow-run-as-root -np 2 --bind-to none --map-by slot -x NCCL_DEBUG=INFO"
        " -x LD_LIBRARY_PATH -x PATH --mca pml ob1 bash -c 'echo $NCCL_DEBUG on $(hostname)'",
        says=("INFO on field-worker-0", "INFO on field-worker-1"),
    ),
    Row(
        "tag-output",
        "`--tag-output`, `-N 1`, one interface left out",
        _NCCL_TESTS,
        "mpirun --allow-run-as-root --tag-output -np 2 -N 1 --bind-to none"
        " --mca btl tcp,self --mca btl_tcp_if_exclude lo,docker0 hostname",
        says=(r"^\[1,0\]<stdout>: ?field-worker-0", r"^\[1,1\]<stdout>: ?field-worker-1"),
    ),
    Row(
        "output-filename",
        "`--output-filename DIR`",
        "horovod/horovod#1373, kubeflow/mpi-operator#462",
        "mpirun --output-filename /tmp/o -n 2 hostname >/dev/null;"
        " mpirun -n 2 bash -c 'find /tmp/o* -type f | xargs cat'; find /tmp/o* -type f | xargs cat",
    ),
    Row(
        "one-a-node",
        "`--map-by ppr:1:node --bind-to none`",
        f"{_NCCL_TESTS}; NVIDIA's guides",
        "mpirun --allow-run-as-root --map-by ppr:1:node --bind-to none hostname",
    ),
    Row(
        "own-hostfile",
        "`--hostfile /etc/mpi/hostfile -np 2`",
        "Run:ai's and Azure ML's guides",
        "mpirun --allow-run-as-root --hostfile /etc/mpi/hostfile -np 2 hostname",
    ),
    Row(
        "own-hosts",
        "`-H HOST,HOST` made of the hostfile",
        "DeepSpeed's OpenMPI launcher and its users",
        f"mpirun -n 2 -H {_HOSTS} hostname",
    ),
    Row(
        "options-last",
        "`mpirun PROGRAM -n 2`: the program's, not mpirun's",
        "a student project on GitHub",
        "mpirun bash -c 'echo $# on $(hostname)' x -n 2",
        says=("2 on field-worker-0", "2 on field-worker-1"),
    ),
)

SHELLS = (
    Row(
        "login-shell",
        "`bash -lc 'mpirun …'`",
        "case 04; Kubeflow trainer and MPI operator on OpenShift (GitHub)",
        "bash -lc 'mpirun -n 2 hostname'",
    ),
    Row(
        "own-path",
        "a PATH of the user's own, `/usr/local/bin:/usr/bin:/bin`",
        "the same",
        "PATH=/usr/local/bin:/usr/bin:/bin mpirun -n 2 hostname",
    ),
    Row(
        "absolute-path",
        "mpirun by its path",
        "launcher scripts of many projects",
        "p=$(for p in /opt/openmpi/bin/mpirun /usr/bin/mpirun; do test -e $p && echo $p; done"
        " | head -1); $p -n 2 hostname",
    ),
    Row(
        "orterun",
        "`orterun`, `prterun`, `mpirun.openmpi`: its other names",
        "Debian's and Open MPI's manual pages",
        "for name in orterun prterun mpirun.openmpi; do type -p $name || continue;"
        " $name -n 2 hostname || exit; done",
    ),
    Row(
        "login-rank",
        "`bash -lc` as the ranks' program",
        "case 04",
        "mpirun -n 2 bash -lc 'echo $(type -p python3) on $(hostname)'",
        says=("/opt/venv/bin/python3 on field-worker-0", "/opt/venv/bin/python3 on field-worker-1"),
    ),
    Row(
        "python3",
        "`python3` on ranks is the environment's",
        "case 12; xonsh/xonsh#3617",
        "mpirun -n 2 python3 -c 'import os, sys; print(sys.prefix, os.uname().nodename)'",
        says=("/opt/venv field-worker-0", "/opt/venv field-worker-1"),
    ),
    Row(
        "stdin-null",
        "`cat` as the program, no stdin",
        "case 01; openpmix/openpmix#4024",
        "mpijob-runtime launch -q -- cat && echo ended",
        says=("^ended",),
    ),
    Row(
        "working-directory",
        "`cd` to a directory that only the launcher has",
        "case 10; kubeflow/mpi-operator#58",
        "mkdir -p /tmp/code; cd /tmp/code; mpirun -n 2 hostname",
        says=("/tmp/code",),
    ),
)

SSH = (
    Row(
        "until-ssh",
        "`until ssh HOST true; do sleep 1; done; mpirun …`",
        "awslabs/awsome-distributed-ai#1241, oci-hpc-oke",
        f"until ssh -o ConnectTimeout=3 -o BatchMode=yes {_HOST} true; do sleep 1; done;"
        " mpirun -n 2 hostname",
    ),
    Row(
        "deepspeed-check",
        "`ssh -o PasswordAuthentication=no HOST hostname`",
        "DeepSpeed#4649, #4907",
        f"ssh -o PasswordAuthentication=no {_HOST} hostname",
        says=("^field-worker-0",),
    ),
    Row(
        "no-host-key-check",
        "`ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null`",
        "mpi-operator's own images",
        f"ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null {_HOST} hostname",
        says=("^field-worker-0",),
    ),
    Row(
        "scp",
        "`scp` to a worker and back",
        "NVIDIA's guides",
        f"echo there and back >/tmp/a; scp -q /tmp/a {_HOST}:/tmp/b; scp -q {_HOST}:/tmp/b /tmp/c;"
        " cat /tmp/c",
        says=("^there and back",),
    ),
)

PROGRAMS = (
    Row(
        "three-at-once",
        "three `mpirun &` at the same moment, four times",
        "case 06; mlrun/mlrun#1247, kubeflow/mpi-operator#574",
        "for r in 1 2 3 4; do for i in 1 2 3; do"
        " (mpirun -n 1 true >/tmp/$r$i 2>&1; echo ended with $?; grep -h error: /tmp/$r$i) & done;"
        " wait; done",
        says=(r"(?:ended with 0\s+){12}",),
    ),
    Row(
        "one-sided",
        "mpi4py, a one-sided window over two hosts",
        "case 08; open-mpi/ompi#11466, mpi4py#166",
        "mpirun -n 2 python -c 'from mpi4py import MPI\n"
        "w = MPI.Win.Allocate(8, 8, comm=MPI.COMM_WORLD); w.Free()\n"
        "print(MPI.Get_processor_name())'",
        never=("OSC UCX",),
    ),
    Row(
        "horovodrun",
        "`horovodrun -np 2 --hostfile …`",
        "Azure ML's examples, a Kubernetes operator on GitHub",
        "horovodrun -np 2 --hostfile $OMPI_MCA_orte_default_hostfile python -c"
        " 'import os, horovod.torch as h; h.init(); print(h.size(), os.uname().nodename)'",
        says=("2 field-worker-0", "2 field-worker-1"),
    ),
    Row(
        "torchrun",
        "`mpirun -N 1 … torchrun --nnodes 2`, one on each host",
        "cloud providers' guides",
        "mpirun -n 2 bash -c 'torchrun --no-python --nnodes 2 --node-rank $OMPI_COMM_WORLD_RANK"
        " --nproc-per-node 1 --master-addr $MASTER_ADDR --master-port 29600"
        ' bash -c "echo \\$RANK of \\$WORLD_SIZE on \\$(hostname)"\'',
        says=("0 of 2 on field-worker-0", "1 of 2 on field-worker-1"),
    ),
)

ROWS = (*OPTIONS, *SHELLS, *SSH, *PROGRAMS)
