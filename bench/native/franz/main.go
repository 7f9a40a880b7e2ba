// The driver of franz-go: the same orders and the same report as the drivers in JavaScript (see ../../harness.ts).
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

type orders map[string]string

func (o orders) number(name string) int {
	n, _ := strconv.Atoi(o[name])
	return n
}

type report struct {
	Records          int      `json:"records"`
	Sent             int      `json:"sent"`
	Seconds          float64  `json:"seconds"`
	CpuSeconds       float64  `json:"cpuSeconds"`
	BrokerCpuSeconds *float64 `json:"brokerCpuSeconds,omitempty"`
	IdleRssBytes     int64    `json:"idleRssBytes"`
	PeakRssBytes     int64    `json:"peakRssBytes"`
	P50Ms            *float64 `json:"p50Ms,omitempty"`
	P99Ms            *float64 `json:"p99Ms,omitempty"`
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// statusBytes reads a line such as "VmHWM:  1234 kB" of this process.
func statusBytes(field string) int64 {
	text, err := os.ReadFile("/proc/self/status")
	check(err)
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, field+":") {
			n, _ := strconv.ParseInt(strings.Fields(line)[1], 10, 64)
			return n * 1024
		}
	}
	return 0
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}

func brokerCpu(pid string) *float64 {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if pid == "" || err != nil {
		return nil
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	seconds := (user + system) / 100
	return &seconds
}

type meter struct {
	orders  orders
	idleRss int64
	started time.Time
	cpu     float64
	broker  *float64
}

func (m *meter) idle() {
	time.Sleep(300 * time.Millisecond)
	m.idleRss = statusBytes("VmRSS")
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

func (m *meter) start() {
	m.broker = brokerCpu(m.orders["broker-pid"])
	m.cpu = cpuSeconds()
	m.started = time.Now()
}

func (m *meter) stop(records, sent int, times []float64) {
	r := report{
		Records: records, Sent: sent, Seconds: time.Since(m.started).Seconds(), CpuSeconds: cpuSeconds() - m.cpu,
		IdleRssBytes: m.idleRss, PeakRssBytes: statusBytes("VmHWM"),
	}
	if now := brokerCpu(m.orders["broker-pid"]); now != nil && m.broker != nil {
		used := *now - *m.broker
		r.BrokerCpuSeconds = &used
	}
	if len(times) > 0 {
		sort.Float64s(times)
		p50, p99 := times[len(times)/2], times[len(times)*99/100]
		r.P50Ms, r.P99Ms = &p50, &p99
	}
	line, err := json.Marshal(r)
	check(err)
	fmt.Println("RESULT " + string(line))
}

func readValues(path string) [][]byte {
	file, err := os.ReadFile(path)
	check(err)
	var values [][]byte
	for at := 0; at < len(file); {
		length := int(binary.LittleEndian.Uint32(file[at:]))
		values = append(values, file[at+4:at+4+length])
		at += 4 + length
	}
	return values
}

func recordMaker(o orders) func(int) *kgo.Record {
	values := readValues(o["values"])
	keys := make([][]byte, o.number("keys"))
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "k%07d", i)
	}
	return func(i int) *kgo.Record {
		record := &kgo.Record{Value: values[i%len(values)]}
		if len(keys) > 0 {
			record.Key = keys[(i*7919)%len(keys)]
		}
		return record
	}
}

func newClient(o orders, more ...kgo.Opt) *kgo.Client {
	options := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(o["brokers"], ",")...),
		kgo.ClientID("bench"),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.DefaultProduceTopic(o["topic"]),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
	}
	if o["compression"] == "lz4" {
		options = append(options, kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	}
	client, err := kgo.NewClient(append(options, more...)...)
	check(err)
	return client
}

func consuming(o orders) []kgo.Opt {
	return []kgo.Opt{
		kgo.ConsumerGroup(o["group"]),
		kgo.ConsumeTopics(o["topic"]),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	}
}

func produce(o orders, m *meter) {
	ctx := context.Background()
	client := newClient(o, kgo.MaxBufferedRecords(10_000))
	record := recordMaker(o)
	send := func(count int) {
		var wait sync.WaitGroup
		wait.Add(count)
		for i := 0; i < count; i++ {
			client.Produce(ctx, record(i), func(_ *kgo.Record, err error) {
				check(err)
				wait.Done()
			})
		}
		wait.Wait()
	}
	send(o.number("warmup"))
	m.idle()
	m.start()
	send(o.number("records"))
	m.stop(o.number("records"), o.number("records")+o.number("warmup"), nil)
}

func consume(o orders, m *meter) {
	ctx := context.Background()
	client := newClient(o)
	check(client.Ping(ctx))
	client.Close()
	m.idle()
	assigned := func(context.Context, *kgo.Client, map[string][]int32) { m.start() }
	client = newClient(o, append(consuming(o), kgo.OnPartitionsAssigned(assigned))...)
	seen, bytes := 0, 0
	for seen < o.number("records") {
		fetches := client.PollFetches(ctx)
		for _, failed := range fetches.Errors() {
			check(failed.Err)
		}
		fetches.EachRecord(func(record *kgo.Record) {
			bytes += len(record.Value)
			seen++
		})
	}
	m.stop(seen, seen, nil)
	client.Close()
}

func latency(o orders, m *meter) {
	ctx := context.Background()
	client := newClient(o)
	record := recordMaker(o)
	var times []float64
	for i := -o.number("warmup"); i < o.number("records"); i++ {
		if i == 0 {
			m.idle()
			m.start()
		}
		from := time.Now()
		check(client.ProduceSync(ctx, record(i+o.number("warmup"))).FirstErr())
		if i >= 0 {
			times = append(times, float64(time.Since(from).Nanoseconds())/1e6)
		}
	}
	m.stop(o.number("records"), o.number("records")+o.number("warmup"), times)
}

func endToEnd(o orders, m *meter) {
	ctx := context.Background()
	rate, total := o.number("rate"), o.number("rate")+o.number("records")
	producer := newClient(o)
	values := readValues(o["values"])
	probe := []byte(strings.Repeat("\xff", 100))
	check(producer.ProduceSync(ctx, &kgo.Record{Value: probe}).FirstErr())
	consumer := newClient(o, consuming(o)...)
	sentAt := make([]time.Time, total)
	ready, done := make(chan bool), make(chan bool)
	var times []float64
	var guard sync.Mutex
	go func() {
		for seen := 0; seen < total; {
			consumer.PollFetches(ctx).EachRecord(func(record *kgo.Record) {
				index := binary.LittleEndian.Uint32(record.Value)
				if index == 0xffffffff {
					close(ready)
					return
				}
				guard.Lock()
				if int(index) >= rate {
					times = append(times, float64(time.Since(sentAt[index]).Nanoseconds())/1e6)
				}
				guard.Unlock()
				seen++
			})
		}
		close(done)
	}()
	<-ready
	m.idle()
	begun := time.Now()
	for i := 0; i < total; i++ {
		time.Sleep(time.Until(begun.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		if i == rate {
			m.start()
		}
		value := append([]byte(nil), values[i%len(values)]...)
		binary.LittleEndian.PutUint32(value, uint32(i))
		guard.Lock()
		sentAt[i] = time.Now()
		guard.Unlock()
		producer.Produce(ctx, &kgo.Record{Value: value}, func(_ *kgo.Record, err error) { check(err) })
	}
	<-done
	check(producer.Flush(ctx))
	m.stop(len(times), total, times)
	consumer.Close()
	producer.Close()
}

func main() {
	o := orders{}
	for _, arg := range os.Args[1:] {
		if name, value, found := strings.Cut(arg, "="); found {
			o[name] = value
		}
	}
	m := &meter{orders: o}
	modes := map[string]func(orders, *meter){"produce": produce, "consume": consume, "latency": latency, "e2e": endToEnd}
	mode, known := modes[o["mode"]]
	if !known {
		check(fmt.Errorf("this driver has no mode %s", o["mode"]))
	}
	mode(o, m)
}
