/* A delegate for tests: does what its option `mode` says. The layouts are those of tensorflow/lite/core/c/common.h, as
   far as they are needed here; they are part of TensorFlow Lite's stable interface. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, ERROR = 1, DELEGATE = 51, MAXIMUM = 55 };

typedef struct { int size; int data[]; } IntArray;

typedef struct {
    int type;
    void *data;
    IntArray *dims;
    struct { float scale; int32_t zero_point; } params;
    int allocation_type;
    size_t bytes;
    const void *allocation;
    const char *name;
    void *delegate;
    int buffer_handle;
    bool data_is_stale, is_variable;
    struct { int type; void *params; } quantization;
    void *sparsity;
    const IntArray *dims_signature;
} Tensor;

typedef struct { IntArray *inputs, *outputs; } Node; /* the beginning of it */

struct Context;

typedef struct {
    void *(*init)(struct Context *, const char *, size_t);
    void (*free)(struct Context *, void *);
    int (*prepare)(struct Context *, Node *);
    int (*invoke)(struct Context *, Node *);
    const char *(*profiling_string)(const struct Context *, const Node *);
    int32_t builtin_code;
    const char *custom_name;
    int version;
    void *registration_external;
    void *async_kernel;
    uint64_t inplace_operator;
} Registration;

typedef struct Delegate {
    void *data;
    int (*prepare)(struct Context *, struct Delegate *);
    void *copy_from, *copy_to, *free_handle;
    int64_t flags;
    void *builder;
} Delegate;

typedef struct Context { /* the beginning of it */
    size_t tensors_size;
    int (*get_execution_plan)(struct Context *, IntArray **);
    Tensor *tensors;
    void *impl;
    void *resize_tensor;
    void (*report_error)(struct Context *, const char *, ...);
    void *add_tensors;
    int (*get_node)(struct Context *, int, Node **, Registration **);
    int (*replace)(struct Context *, Registration, const IntArray *, Delegate *);
} Context;

static const char *mode = "nothing";

static int invoke(Context *context, Node *node) {
    Tensor *from = &context->tensors[node->inputs->data[0]], *to = &context->tensors[node->outputs->data[0]];
    if (!strcmp(mode, "fails-later"))
        return ERROR;
    memcpy(to->data, from->data, to->bytes); /* the larger of a tensor and itself */
    return OK;
}

static int take_maxima(Context *context, Delegate *delegate) {
    IntArray *plan, *taken;
    Registration kernel = {.invoke = invoke, .builtin_code = DELEGATE, .custom_name = "TestDelegate", .version = 1};
    context->get_execution_plan(context, &plan);
    taken = malloc(sizeof(int) * (plan->size + 1));
    taken->size = 0;
    for (int place = 0; place < plan->size; place++) {
        Node *node;
        Registration *registration;
        context->get_node(context, plan->data[place], &node, &registration);
        if (registration->builtin_code == MAXIMUM)
            taken->data[taken->size++] = plan->data[place];
    }
    int status = context->replace(context, kernel, taken, delegate);
    free(taken);
    return status;
}

static int prepare(Context *context, Delegate *delegate) {
    if (!strcmp(mode, "crashes"))
        abort();
    if (!strcmp(mode, "refuses")) {
        context->report_error(context, "this model has too many cats");
        return ERROR;
    }
    return strcmp(mode, "nothing") ? take_maxima(context, delegate) : OK;
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*say)(const char *)) {
    for (size_t place = 0; place < count; place++)
        if (!strcmp(keys[place], "mode"))
            mode = strdup(values[place]);
    if (!strcmp(mode, "no-device")) {
        say("no such device");
        return NULL;
    }
    Delegate *made = calloc(1, sizeof *made);
    made->prepare = prepare;
    return made;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) { free(delegate); }
