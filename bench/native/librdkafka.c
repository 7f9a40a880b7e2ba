/* The driver of librdkafka: the same orders and the same report as the drivers in JavaScript (see ../harness.ts).
 *
 *   cc -O2 -o build/librdkafka librdkafka.c -lrdkafka -lpthread
 */
#include <errno.h>
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static int argument_count;
static char **arguments;

static void fail(const char *format, ...) {
        va_list list;
        va_start(list, format);
        vfprintf(stderr, format, list);
        va_end(list);
        fputc('\n', stderr);
        exit(1);
}

static const char *text(const char *name) {
        size_t length = strlen(name);
        for (int i = 1; i < argument_count; i++)
                if (!strncmp(arguments[i], name, length) && arguments[i][length] == '=')
                        return arguments[i] + length + 1;
        return "";
}

static long number(const char *name) { return atol(text(name)); }

/* ---- measuring ---- */

static double now_seconds(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec + t.tv_nsec / 1e9;
}

static double cpu_seconds(void) {
        struct rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
               (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static long status_bytes(const char *field) {
        char line[256];
        long kib = 0;
        size_t length = strlen(field);
        FILE *file = fopen("/proc/self/status", "r");
        if (!file)
                return 0;
        while (fgets(line, sizeof line, file))
                if (!strncmp(line, field, length) && line[length] == ':')
                        kib = atol(line + length + 1);
        fclose(file);
        return kib * 1024;
}

/* CPU seconds of the broker so far, or -1. */
static double broker_cpu(void) {
        char path[64], content[1024];
        long user = 0, system = 0;
        if (!*text("broker-pid"))
                return -1;
        snprintf(path, sizeof path, "/proc/%ld/stat", number("broker-pid"));
        FILE *file = fopen(path, "r");
        if (!file)
                return -1;
        size_t got = fread(content, 1, sizeof content - 1, file);
        fclose(file);
        content[got] = 0;
        char *rest = strrchr(content, ')');
        if (!rest || sscanf(rest + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user, &system) != 2)
                return -1;
        return (user + system) / 100.0;
}

static long idle_rss;
static double window_start, window_cpu, window_broker_cpu;

static void meter_idle(void) {
        usleep(300 * 1000);
        idle_rss   = status_bytes("VmRSS");
        FILE *file = fopen("/proc/self/clear_refs", "w");
        if (file) {
                fputs("5", file);
                fclose(file);
        }
}

static void meter_start(void) {
        window_broker_cpu = broker_cpu();
        window_cpu        = cpu_seconds();
        window_start      = now_seconds();
}

static int by_value(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;
        return x < y ? -1 : x > y;
}

static void meter_stop(long records, long sent, double *times, long time_count) {
        double seconds = now_seconds() - window_start, cpu = cpu_seconds() - window_cpu, broker = broker_cpu();
        printf("RESULT {\"records\":%ld,\"sent\":%ld,\"seconds\":%.6f,\"cpuSeconds\":%.6f", records, sent, seconds, cpu);
        printf(",\"idleRssBytes\":%ld,\"peakRssBytes\":%ld", idle_rss, status_bytes("VmHWM"));
        if (broker >= 0 && window_broker_cpu >= 0)
                printf(",\"brokerCpuSeconds\":%.2f", broker - window_broker_cpu);
        if (time_count > 0) {
                qsort(times, time_count, sizeof *times, by_value);
                printf(",\"p50Ms\":%.4f,\"p99Ms\":%.4f", times[time_count / 2], times[time_count * 99 / 100]);
        }
        printf("}\n");
        fflush(stdout);
}

/* ---- what is sent ---- */

static unsigned char *values_file;
static unsigned char *values[10000];
static uint32_t value_sizes[10000];
static long value_count;

static uint32_t little_endian(const unsigned char *at) {
        return at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24;
}

static void read_values(void) {
        FILE *file = fopen(text("values"), "rb");
        if (!file)
                fail("%s: %s", text("values"), strerror(errno));
        fseek(file, 0, SEEK_END);
        long size = ftell(file);
        rewind(file);
        values_file = malloc(size);
        if (fread(values_file, 1, size, file) != (size_t)size)
                fail("%s: cut off", text("values"));
        fclose(file);
        for (long at = 0; at < size && value_count < 10000; value_count++) {
                value_sizes[value_count] = little_endian(values_file + at);
                values[value_count]      = values_file + at + 4;
                at += 4 + value_sizes[value_count];
        }
}

/* ---- librdkafka ---- */

static void set(rd_kafka_conf_t *conf, const char *name, const char *value) {
        char error[256];
        if (rd_kafka_conf_set(conf, name, value, error, sizeof error) != RD_KAFKA_CONF_OK)
                fail("%s", error);
}

static long delivered;

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque) {
        (void)rk;
        (void)opaque;
        if (message->err)
                fail("delivery: %s", rd_kafka_err2str(message->err));
        delivered++;
}

static rd_kafka_t *new_producer(const char *linger_ms) {
        char error[256];
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        set(conf, "bootstrap.servers", text("brokers"));
        set(conf, "client.id", "bench");
        set(conf, "acks", "all");
        set(conf, "enable.idempotence", "true");
        set(conf, "linger.ms", linger_ms);
        set(conf, "queue.buffering.max.messages", "100000");
        set(conf, "compression.codec", *text("compression") ? text("compression") : "none");
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
        rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof error);
        if (!rk)
                fail("%s", error);
        return rk;
}

/* The window of a consumer opens when the group has given it its partitions. */
static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t kind, rd_kafka_topic_partition_list_t *list, void *opaque) {
        (void)opaque;
        if (kind == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
                if (!strcmp(text("mode"), "consume"))
                        meter_start();
                rd_kafka_assign(rk, list);
        } else {
                rd_kafka_assign(rk, NULL);
        }
}

static rd_kafka_t *new_consumer(void) {
        char error[256];
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        set(conf, "bootstrap.servers", text("brokers"));
        set(conf, "client.id", "bench");
        set(conf, "group.id", text("group"));
        set(conf, "auto.offset.reset", "earliest");
        rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
        rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof error);
        if (!rk)
                fail("%s", error);
        rd_kafka_poll_set_consumer(rk);
        return rk;
}

static void subscribe(rd_kafka_t *rk) {
        rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(topics, text("topic"), RD_KAFKA_PARTITION_UA);
        rd_kafka_resp_err_t error = rd_kafka_subscribe(rk, topics);
        if (error)
                fail("subscribe: %s", rd_kafka_err2str(error));
        rd_kafka_topic_partition_list_destroy(topics);
}

static void send_record(rd_kafka_t *rk, rd_kafka_topic_t *topic, long index, void *value, size_t size) {
        static char key[16];
        long keys = number("keys");
        int key_size = keys ? snprintf(key, sizeof key, "k%07ld", index * 7919 % keys) : 0;
        while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value, size, keys ? key : NULL,
                                key_size, NULL) == -1) {
                if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
                        fail("produce: %s", rd_kafka_err2str(rd_kafka_last_error()));
                rd_kafka_poll(rk, 10);
        }
}

static void send_all(rd_kafka_t *rk, rd_kafka_topic_t *topic, long count) {
        long goal = delivered + count;
        for (long i = 0; i < count; i++) {
                send_record(rk, topic, i, values[i % value_count], value_sizes[i % value_count]);
                if (i % 1000 == 0)
                        rd_kafka_poll(rk, 0);
        }
        while (delivered < goal)
                rd_kafka_poll(rk, 10);
}

static void produce(void) {
        read_values();
        rd_kafka_t *rk          = new_producer("5");
        rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, text("topic"), NULL);
        send_all(rk, topic, number("warmup"));
        meter_idle();
        meter_start();
        send_all(rk, topic, number("records"));
        meter_stop(number("records"), number("records") + number("warmup"), NULL, 0);
}

static void latency(void) {
        read_values();
        rd_kafka_t *rk          = new_producer("0");
        rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, text("topic"), NULL);
        long warmup = number("warmup"), records = number("records");
        double *times = malloc(records * sizeof *times);
        for (long i = -warmup; i < records; i++) {
                if (i == 0) {
                        meter_idle();
                        meter_start();
                }
                long index = i + warmup, goal = delivered + 1;
                double from = now_seconds();
                send_record(rk, topic, index, values[index % value_count], value_sizes[index % value_count]);
                while (delivered < goal)
                        rd_kafka_poll(rk, 100);
                if (i >= 0)
                        times[i] = (now_seconds() - from) * 1e3;
        }
        meter_stop(records, records + warmup, times, records);
}

static void consume(void) {
        enum { most = 10000 };
        static rd_kafka_message_t *messages[most];
        const struct rd_kafka_metadata *metadata;
        long seen = 0, bytes = 0, records = number("records");
        rd_kafka_t *rk          = new_consumer();
        rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(rk);
        if (rd_kafka_metadata(rk, 0, NULL, &metadata, 10000) == RD_KAFKA_RESP_ERR_NO_ERROR)
                rd_kafka_metadata_destroy(metadata);
        meter_idle();
        subscribe(rk);
        while (seen < records) {
                ssize_t got = rd_kafka_consume_batch_queue(queue, 100, messages, most);
                for (ssize_t i = 0; i < got; i++) {
                        if (!messages[i]->err) {
                                seen++;
                                bytes += messages[i]->len;
                        }
                        rd_kafka_message_destroy(messages[i]);
                }
        }
        meter_stop(seen, seen, NULL, 0);
        if (bytes == 0)
                fail("no bytes");
        rd_kafka_queue_destroy(queue);
        rd_kafka_consumer_close(rk);
}

/* ---- from send to handler ---- */

static double *sent_at, *journey;
static long journeys, arrivals;
static volatile int consumer_ready;
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

static void *handle_all(void *opaque) {
        rd_kafka_t *rk = opaque;
        long rate = number("rate"), total = rate + number("records");
        while (arrivals < total) {
                rd_kafka_message_t *message = rd_kafka_consumer_poll(rk, 100);
                if (!message)
                        continue;
                if (!message->err) {
                        uint32_t index = little_endian(message->payload);
                        if (index == 0xffffffff) {
                                consumer_ready = 1;
                        } else {
                                pthread_mutex_lock(&guard);
                                if (index >= rate)
                                        journey[journeys++] = (now_seconds() - sent_at[index]) * 1e3;
                                arrivals++;
                                pthread_mutex_unlock(&guard);
                        }
                }
                rd_kafka_message_destroy(message);
        }
        return NULL;
}

static void end_to_end(void) {
        read_values();
        long rate = number("rate"), total = rate + number("records");
        unsigned char value[4096];
        pthread_t thread;
        sent_at                 = calloc(total, sizeof *sent_at);
        journey                 = calloc(total, sizeof *journey);
        rd_kafka_t *producer    = new_producer("0");
        rd_kafka_topic_t *topic = rd_kafka_topic_new(producer, text("topic"), NULL);
        memset(value, 0xff, 100);
        send_record(producer, topic, 0, value, 100);
        rd_kafka_flush(producer, 10000);
        rd_kafka_t *consumer = new_consumer();
        subscribe(consumer);
        pthread_create(&thread, NULL, handle_all, consumer);
        while (!consumer_ready)
                usleep(1000);
        meter_idle();
        double begun = now_seconds();
        for (long i = 0; i < total; i++) {
                double wait = begun + (double)i / rate - now_seconds();
                if (wait > 0)
                        usleep(wait * 1e6);
                if (i == rate)
                        meter_start();
                uint32_t size = value_sizes[i % value_count];
                memcpy(value, values[i % value_count], size);
                for (int shift = 0; shift < 4; shift++)
                        value[shift] = i >> (8 * shift);
                pthread_mutex_lock(&guard);
                sent_at[i] = now_seconds();
                pthread_mutex_unlock(&guard);
                send_record(producer, topic, i, value, size);
                rd_kafka_poll(producer, 0);
        }
        rd_kafka_flush(producer, 10000);
        pthread_join(thread, NULL);
        meter_stop(journeys, total, journey, journeys);
        rd_kafka_consumer_close(consumer);
}

int main(int count, char **list) {
        argument_count = count;
        arguments      = list;
        if (!strcmp(text("mode"), "produce"))
                produce();
        else if (!strcmp(text("mode"), "consume"))
                consume();
        else if (!strcmp(text("mode"), "latency"))
                latency();
        else if (!strcmp(text("mode"), "e2e"))
                end_to_end();
        else
                fail("this driver has no mode %s", text("mode"));
        return 0;
}
