/* A hand-made libnvidia-ml.so.1 for pynvml: GPU 0 works, 1 gets lost, 2 cannot be opened. It knows
   few functions, as an old driver. Layouts as in nvml.h. */
#include <stdint.h>
#include <string.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, GPU_IS_LOST = 15, UNKNOWN = 999 };

struct device { int index; };
struct pci { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; };
struct memory { unsigned long long total, free, used; };
struct field {
    uint32_t field, scope;
    int64_t timestamp, latency;
    unsigned type, result;
    union { unsigned number; uint64_t wide; } value;
};

static struct device devices[2] = {{0}, {1}};

int nvmlInitWithFlags(unsigned flags) { (void)flags; return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { strncpy(text, "999.1", size); return 0; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 12080; return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 3; return SUCCESS; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct device **device) {
    if (index == 2) return UNKNOWN;
    *device = &devices[index];
    return SUCCESS;
}

int nvmlDeviceGetName(struct device *device, char *text, unsigned size) {
    strncpy(text, device->index ? "Fake 1" : "Fake 0", size);
    return SUCCESS;
}

int nvmlDeviceGetPciInfo_v3(struct device *device, struct pci *pci) {
    memset(pci, 0, sizeof *pci);
    pci->domain = 0x10000;
    pci->bus = 0xAB + device->index;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(struct device *device, struct memory *memory) {
    memory->total = 1ULL << (36 + device->index);
    return SUCCESS;
}

int nvmlDeviceGetCpuAffinity(struct device *device, unsigned words, unsigned long *set) {
    memset(set, 0, words * sizeof *set);
    set[1] = 1UL | 1UL << 63;
    (void)device;
    return SUCCESS;
}

int nvmlDeviceGetMigMode(struct device *device, unsigned *current, unsigned *pending) {
    (void)device;
    *current = *pending = 0;
    return SUCCESS;
}

int nvmlDeviceGetTotalEccErrors(struct device *device, unsigned type, unsigned counter,
                                unsigned long long *count) {
    *count = 10 * type + counter;
    return device->index ? GPU_IS_LOST : SUCCESS;
}

int nvmlDeviceGetFieldValues(struct device *device, int count, struct field *fields) {
    (void)device;
    for (int n = 0; n < count; n++) {
        fields[n].result = fields[n].field == 230 ? SUCCESS : NOT_SUPPORTED;
        fields[n].value.number = 2;
    }
    return SUCCESS;
}

int nvmlDeviceGetNvLinkState(struct device *device, unsigned link, unsigned *active) {
    (void)device, (void)link, (void)active;
    return NOT_SUPPORTED;
}
