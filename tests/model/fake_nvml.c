/* A stand-in for the NVIDIA driver's libnvidia-ml.so.1: three GPUs, the last divided by MIG into two instances.
 *
 * Environment: FAKE_NVML_INIT, the error code of nvmlInitWithFlags; FAKE_NVML_LOST, a GPU whose handle fails with
 * "GPU is lost"; FAKE_NVML_SILENT, a GPU whose memory query fails. Built with -DBEFORE_MIG it lacks the functions
 * that drivers older than MIG lack. Signatures and codes: NVIDIA's NVML API reference.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, GPU_IS_LOST = 15, UNKNOWN = 999 };

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { const char *uuid, *name; Memory memory; int mig; unsigned gpu_instance, compute_instance; } Device;

#define GIB (1ULL << 30)

static Device gpus[] = {
    {"GPU-aaaa0000-0000-0000-0000-000000000000", "Fake GPU", {80 * GIB, 10 * GIB, 70 * GIB}, 0, 0, 0},
    {"GPU-bbbb1111-0000-0000-0000-000000000000", "Fake GPU", {80 * GIB, 60 * GIB, 20 * GIB}, 0, 0, 0},
    {"GPU-cccc2222-0000-0000-0000-000000000000", "Fake GPU", {80 * GIB, 79 * GIB, 1 * GIB}, 1, 0, 0},
};
static Device instances[] = {
    {"MIG-dddd3333-0000-0000-0000-000000000000", "Fake GPU MIG 1g", {10 * GIB, 9 * GIB, 1 * GIB}, 0, 7, 0},
    {"MIG-eeee4444-0000-0000-0000-000000000000", "Fake GPU MIG 3g", {40 * GIB, 38 * GIB, 2 * GIB}, 0, 2, 1},
};
enum { GPUS = 3, SLOTS = 7, SECOND_SLOT = 3 };

static int users = 0;

static int is_chosen(const char *variable, const Device *device) {
    const char *index = getenv(variable);
    return index && device == &gpus[atoi(index)];
}

/* How many initialisations have not been shut down. */
int fake_nvml_users(void) { return users; }

int nvmlInitWithFlags(unsigned flags) {
    const char *code = getenv("FAKE_NVML_INIT");
    (void)flags;
    if (code) return atoi(code);
    users++;
    return SUCCESS;
}

int nvmlShutdown(void) {
    users--;
    return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = GPUS;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Device **device) {
    if (index >= GPUS) return INVALID_ARGUMENT;
    *device = &gpus[index];
    return is_chosen("FAKE_NVML_LOST", *device) ? GPU_IS_LOST : SUCCESS;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, Device **device) {
    for (int i = 0; i < GPUS; i++)
        if (!strcmp(uuid, gpus[i].uuid)) return *device = &gpus[i], SUCCESS;
    for (int i = 0; i < 2; i++)
        if (!strcmp(uuid, instances[i].uuid)) return *device = &instances[i], SUCCESS;
    return NOT_FOUND;
}

int nvmlDeviceGetUUID(Device *device, char *uuid, unsigned length) {
    snprintf(uuid, length, "%s", device->uuid);
    return SUCCESS;
}

int nvmlDeviceGetName(Device *device, char *name, unsigned length) {
    snprintf(name, length, "%s", device->name);
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(Device *device, Memory *memory) {
    if (is_chosen("FAKE_NVML_SILENT", device)) return UNKNOWN;
    *memory = device->memory;
    return SUCCESS;
}

#ifndef BEFORE_MIG
int nvmlDeviceGetMigMode(Device *device, unsigned *current, unsigned *pending) {
    if (device == &gpus[0]) return NOT_SUPPORTED;
    *current = *pending = device->mig;
    return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(Device *device, unsigned *count) {
    *count = device->mig ? SLOTS : 0;
    return SUCCESS;
}

int nvmlDeviceGetMigDeviceHandleByIndex(Device *device, unsigned index, Device **instance) {
    if (!device->mig || index >= SLOTS) return INVALID_ARGUMENT;
    if (index != 0 && index != SECOND_SLOT) return NOT_FOUND;
    *instance = &instances[index == SECOND_SLOT];
    return SUCCESS;
}

int nvmlDeviceGetGpuInstanceId(Device *device, unsigned *id) {
    *id = device->gpu_instance;
    return SUCCESS;
}

int nvmlDeviceGetComputeInstanceId(Device *device, unsigned *id) {
    *id = device->compute_instance;
    return SUCCESS;
}
#endif
