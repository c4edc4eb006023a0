/* Latency, bandwidth and allreduce of MPI as it is, by the method of the OSU micro-benchmarks.
 *
 *   messages KIND BYTES ROUNDS
 *
 * latency:    ranks 0 and 1 send a message to and fro; microseconds one way. Of more ranks, i and
 *             i + size/2 are a pair, all pairs at one time, and the slowest counts.
 * bandwidth:  64 messages in flight, then one word back; MB/s of all pairs together.
 * allreduce:  a sum of floats over all ranks; microseconds, the mean over ranks.
 *
 * What starts ranks gets a second to become idle; then a tenth of the rounds come first and do not
 * count. Rank 0 prints one number.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WINDOW = 64 };

static double latency(char *data, int bytes, long rounds, int peer, int sends) {
    double began = 0;
    for (long i = -rounds / 10; i < rounds; i++) {
        if (i == 0) began = MPI_Wtime();
        if (sends) {
            MPI_Send(data, bytes, MPI_CHAR, peer, 1, MPI_COMM_WORLD);
            MPI_Recv(data, bytes, MPI_CHAR, peer, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        } else {
            MPI_Recv(data, bytes, MPI_CHAR, peer, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            MPI_Send(data, bytes, MPI_CHAR, peer, 1, MPI_COMM_WORLD);
        }
    }
    return (MPI_Wtime() - began) * 1e6 / (2.0 * rounds);
}

static double bandwidth(char *data, int bytes, long rounds, int peer, int sends) {
    MPI_Request open[WINDOW];
    double began = 0;
    for (long i = -rounds / 10; i < rounds; i++) {
        if (i == 0) began = MPI_Wtime();
        for (int n = 0; n < WINDOW; n++) {
            if (sends) MPI_Isend(data, bytes, MPI_CHAR, peer, 1, MPI_COMM_WORLD, &open[n]);
            else MPI_Irecv(data, bytes, MPI_CHAR, peer, 1, MPI_COMM_WORLD, &open[n]);
        }
        MPI_Waitall(WINDOW, open, MPI_STATUSES_IGNORE);
        if (sends) MPI_Recv(data, 4, MPI_CHAR, peer, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        else MPI_Send(data, 4, MPI_CHAR, peer, 2, MPI_COMM_WORLD);
    }
    return (double)bytes * WINDOW * rounds / 1e6 / (MPI_Wtime() - began);
}

static double allreduce(float *data, float *sum, int bytes, long rounds) {
    double took = 0;
    for (long i = -rounds / 10; i < rounds; i++) {
        double began = MPI_Wtime();
        MPI_Allreduce(data, sum, bytes / (int)sizeof *data, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
        if (i >= 0) took += MPI_Wtime() - began;
        MPI_Barrier(MPI_COMM_WORLD);
    }
    return took * 1e6 / rounds;
}

int main(int argc, char **argv) {
    int rank, size;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (argc != 4 || size % 2) {
        fprintf(stderr, "usage: messages latency|bandwidth|allreduce BYTES ROUNDS, even ranks\n");
        MPI_Abort(MPI_COMM_WORLD, 64);
    }
    int bytes = atoi(argv[2]), pairs = size / 2, sends = rank < pairs;
    int peer = sends ? rank + pairs : rank - pairs;
    long rounds = atol(argv[3]);
    char *data = calloc(1, bytes + 64), *sum = calloc(1, bytes + 64);
    double mine, all;
    sleep(1);
    MPI_Barrier(MPI_COMM_WORLD);
    if (!strcmp(argv[1], "latency")) {
        mine = latency(data, bytes, rounds, peer, sends);
        MPI_Reduce(&mine, &all, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
    } else if (!strcmp(argv[1], "bandwidth")) {
        mine = bandwidth(data, bytes, rounds, peer, sends) * sends;
        MPI_Reduce(&mine, &all, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    } else {
        mine = allreduce((float *)data, (float *)sum, bytes, rounds) / size;
        MPI_Reduce(&mine, &all, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    }
    if (rank == 0) printf("%s %d %.3f\n", argv[1], bytes, all);
    MPI_Finalize();
    return 0;
}
