#!/usr/bin/env bash
# Runs mpi4py's test suite in a launcher, plain and by mpijob-runtime launch, a rank on each host.
#
#   compare.sh [MODULE…]    regular expressions for the suite's modules; none for all
#
# Prints one line for each way and rank: how many tests ran, and which did not pass.
set -uo pipefail

cd /home/mpiuser/mpi4py-*/test || exit
include=()
for module in "$@"; do include+=(-i "$module"); done
# Open MPI 4.1.4 dies of SIGSEGV in MPI_Win_free of a dynamic window, plain or not (osc/ucx)
test -d /opt/openmpi || include+=(-x TestWinCreateDynamic)

# A log for each rank, so that lines do not mix; every rank ends well, so that all are heard.
# shellcheck disable=SC2016 # the rank's own shell expands it
rank='way=$1; shift
log=/tmp/mpi4py-$way-$OMPI_COMM_WORLD_RANK
python main.py -v "$@" >"$log" 2>&1
code=$?
said=$(sed -nE "s/^(Ran [0-9]+ tests?) in .*/\1,/p; s/^(FAIL|ERROR): (.*)/\1 \2,/p; /^(OK|FAILED)/p" "$log")
echo "peer: $way, rank $OMPI_COMM_WORLD_RANK: exit $code," $said
test -n "$said" || tail -n 20 "$log"'
program=(bash -c "$rank" rank)

# Ranks of several containers share this machine: they give processors up, and none is bound.
export OMPI_MCA_mpi_yield_when_idle=1
mpijob-runtime wait --quiet
case ${WAYS:-plain ours} in *plain*)
    (
        cp ~/.ssh/id_rsa /tmp/key && chmod 600 /tmp/key
        ssh="ssh -p 2222 -i /tmp/key -o StrictHostKeyChecking=no"
        ssh+=" -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        export MPIJOB_SHIM=off OMPI_MCA_plm_rsh_agent=$ssh PRTE_MCA_plm_ssh_agent=$ssh
        export PRTE_MCA_prte_default_hostfile=/etc/mpi/hostfile
        # Debian's Open MPI as it would be without Debian's own settings
        export OMPI_MCA_pml=ob1 OMPI_MCA_osc=^monitoring
        test -d /opt/openmpi && export OMPI_MCA_osc=^ucx
        mpirun -n 2 --map-by node --bind-to none "${program[@]}" plain "${include[@]}"
        echo "peer: plain ended with $?"
    )
    ;;
esac
mpijob-runtime launch --output plain -- "${program[@]}" ours "${include[@]}"
echo "peer: ours ended with $?"
