/* Estimates pi by the midpoint rule: each rank sums its share, MPI_Reduce adds the shares up. */
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    const long intervals = argc > 1 ? atol(argv[1]) : 10000000L;
    int rank, size, length;
    char host[MPI_MAX_PROCESSOR_NAME];

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Get_processor_name(host, &length);
    if (intervals < 1) {
        if (rank == 0)
            fprintf(stderr, "pi: found %s intervals, wanted at least 1\n", argv[1]);
        MPI_Finalize();
        return 64;
    }

    const double width = 1.0 / (double)intervals;
    double share = 0.0, sum = 0.0;
    for (long i = rank; i < intervals; i += size) {
        const double x = width * ((double)i + 0.5);
        share += 4.0 / (1.0 + x * x);
    }
    share *= width;
    MPI_Reduce(&share, &sum, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);

    printf("rank %d of %d on %s\n", rank, size, host);
    if (rank == 0)
        printf("pi is approximately %.16f, error %.1e\n", sum, fabs(sum - acos(-1.0)));
    MPI_Finalize();
    return 0;
}
