// Runs one program on the Verilated machine: host port, external memory, lockstep records and log events.
//
//   driver CODE MEMORY LIMIT STALL_SEED RESULT [RECORDS|-] [EVENTS|-] [+ARGUMENT...]
//
// CODE: little-endian 32-bit words. MEMORY: the image, changed in place. LIMIT: cycle limit, 0 for none. STALL_SEED: 0 for
// a memory that is always ready and answers after exactly MEM_LATENCY cycles, else the seed of random stalls. RESULT: uint64 words,
// see write_result(). RECORDS: one row of uint64 per cycle. EVENTS: rows of EVENT_WORDS uint64, see log_cycle(). Exit status 3: the machine hangs.
//
// machine.h is generated: sizes, host register addresses, and sample() over the ports of the debug build.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <type_traits>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "Vrpa.h"
#include "verilated.h"

// -- reading and writing ports of any width ---------------------------------------------------------------------------

template <typename Port>
uint64_t bits_of(const Port& port, unsigned lsb, unsigned bits) {
    if constexpr (std::is_integral_v<Port>) {
        const uint64_t value = static_cast<uint64_t>(port) >> lsb;
        return bits >= 64 ? value : value & ((uint64_t{1} << bits) - 1);
    } else {
        uint64_t value = 0;
        for (unsigned done = 0; done < bits;) {
            const unsigned at = lsb + done;
            const unsigned take = std::min(32 - at % 32, bits - done);
            const uint64_t piece = (static_cast<uint64_t>(port[at / 32]) >> (at % 32)) & ((uint64_t{1} << take) - 1);
            value |= piece << done;
            done += take;
        }
        return value;
    }
}

template <typename Port>
void set_word16(Port& port, unsigned index, uint16_t value) {
    if constexpr (std::is_integral_v<Port>) {
        const unsigned shift = 16 * index;
        port = static_cast<Port>((port & ~(static_cast<uint64_t>(0xFFFF) << shift)) | static_cast<uint64_t>(value) << shift);
    } else {
        const unsigned shift = 16 * (index % 2);
        port[index / 2] = (port[index / 2] & ~(0xFFFFu << shift)) | static_cast<uint32_t>(value) << shift;
    }
}

template <typename Port>
uint64_t* unpack(const Port& port, unsigned bits, unsigned count, uint64_t* row) {
    for (unsigned i = 0; i < count; ++i) *row++ = bits_of(port, i * bits, bits);
    return row;
}

#include "machine.h"

// -- files ------------------------------------------------------------------------------------------------------------

[[noreturn]] static void die(const char* what, const char* name) {
    std::fprintf(stderr, "driver: %s %s\n", what, name);
    std::exit(2);
}

static std::vector<uint32_t> read_code(const char* name) {
    FILE* file = std::fopen(name, "rb");
    if (!file) die("cannot read", name);
    std::vector<uint32_t> code;
    uint32_t word;
    while (std::fread(&word, sizeof word, 1, file) == 1) code.push_back(word);
    std::fclose(file);
    return code;
}

static uint8_t* map_memory(const char* name) {
    const int file = open(name, O_RDWR);
    void* at = file < 0 ? MAP_FAILED : mmap(nullptr, MEM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (at == MAP_FAILED) die("cannot map", name);
    close(file);
    return static_cast<uint8_t*>(at);
}

static FILE* open_optional(const char* name) {
    if (!name || !std::strcmp(name, "-")) return nullptr;
    FILE* file = std::fopen(name, "wb");
    if (!file) die("cannot write", name);
    return file;
}

static uint16_t word_at(const uint8_t* memory, uint64_t address) {
    return address + 1 < MEM_BYTES ? static_cast<uint16_t>(memory[address] | memory[address + 1] << 8) : 0;
}

// -- external memory --------------------------------------------------------------------------------------------------

struct Response {
    uint64_t due;
    uint16_t words[BUS_WORDS];
};

class Memory {
  public:
    Memory(uint8_t* bytes, uint64_t seed) : bytes_(bytes), state_(seed) {}

    // Inputs of this cycle.
    void drive(Vrpa& top, uint64_t now) {
        top.mem_read_ready = !stalls();
        top.mem_write_ready = !stalls();
        const bool due = !pending_.empty() && pending_.front().due <= now;
        top.mem_read_response_valid = due;
        if (due) {
            for (unsigned i = 0; i < BUS_WORDS; ++i) set_word16(top.mem_read_response_data, i, pending_.front().words[i]);
            pending_.pop_front();
        }
    }

    // What the settled outputs of this cycle ask for: a read sees memory as it is before this cycle's write.
    void serve(const Vrpa& top, uint64_t now) {
        if (top.mem_read_valid && top.mem_read_ready) {
            Response response{};
            response.due = now + MEM_LATENCY + (state_ ? next() % 7 : 0);
            if (!pending_.empty() && response.due <= pending_.back().due) response.due = pending_.back().due + 1;
            for (unsigned i = 0; i < top.mem_read_words; ++i) response.words[i] = word_at(bytes_, top.mem_read_address + 2 * i);
            pending_.push_back(response);
        }
        if (top.mem_write_valid && top.mem_write_ready) {
            for (unsigned i = 0; i < BUS_WORDS; ++i) {
                const uint64_t address = static_cast<uint64_t>(top.mem_write_address) + 2 * i;
                if (!(top.mem_write_mask >> i & 1) || address + 1 >= MEM_BYTES) continue;
                const uint64_t word = bits_of(top.mem_write_data, 16 * i, 16);
                bytes_[address] = static_cast<uint8_t>(word);
                bytes_[address + 1] = static_cast<uint8_t>(word >> 8);
            }
        }
    }

  private:
    uint64_t next() {  // xorshift64
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_;
    }
    bool stalls() { return state_ && next() % 3 == 0; }

    uint8_t* bytes_;
    uint64_t state_;
    std::deque<Response> pending_;
};

// -- commit log -------------------------------------------------------------------------------------------------------

// One row for a cycle in which something happens: cycle; retire valid, pc, word, writes, rd, value; start mask; pcs of the starts;
// complete mask; pcs of the completions; write mask (0: none), address, words.
static void log_cycle(const Vrpa& top, uint64_t cycle, FILE* file) {
    const bool write = top.mem_write_valid && top.mem_write_ready;
    if (!top.log_retire_valid && !top.log_start && !top.log_complete && !write) return;
    uint64_t row[EVENT_WORDS] = {cycle, top.log_retire_valid, top.log_retire_pc, top.log_retire_word, top.log_retire_writes, top.log_retire_rd,
                                 top.log_retire_value, top.log_start};
    uint64_t* at = unpack(top.log_start_pc, PC_BITS, ENGINES, row + 8);
    *at++ = top.log_complete;
    at = unpack(top.log_complete_pc, PC_BITS, ENGINES, at);
    *at++ = write ? top.mem_write_mask : 0;
    *at++ = top.mem_write_address;
    unpack(top.mem_write_data, 16, BUS_WORDS, at);
    std::fwrite(row, sizeof row[0], EVENT_WORDS, file);
}

// -- the machine ------------------------------------------------------------------------------------------------------

class Bench {
  public:
    Bench(const char* memory, uint64_t seed, int argc, char** argv) : top_(&context_), memory_(map_memory(memory), seed) {
        context_.commandArgs(argc, argv);
        top_.rst = 1;
        tick();
        top_.rst = 0;
    }

    Vrpa& top() { return top_; }
    void settle() {
        memory_.drive(top_, now_);
        top_.clk = 0;
        top_.eval();
        memory_.serve(top_, now_);
    }
    void edge() {
        top_.clk = 1;
        top_.eval();
        ++now_;
    }
    void tick() {
        settle();
        edge();
    }
    void host_write(uint32_t address, uint32_t value) {
        top_.host_address = address;
        top_.host_write_data = value;
        top_.host_write = 1;
        tick();
        top_.host_write = 0;
    }
    uint32_t host_read(uint32_t address) {
        top_.host_address = address;
        tick();
        return top_.host_read_data;
    }

  private:
    VerilatedContext context_;
    Vrpa top_;
    Memory memory_;
    uint64_t now_ = 0;
};

static void load(Bench& bench, const std::vector<uint32_t>& code, uint64_t limit) {
    for (size_t i = 0; i < code.size(); ++i) bench.host_write(HOST_IMEM + static_cast<uint32_t>(i), code[i]);
    bench.host_write(HOST_CODE_WORDS, static_cast<uint32_t>(code.size()));
    bench.host_write(HOST_LIMIT_LOW, static_cast<uint32_t>(limit));
    bench.host_write(HOST_LIMIT_HIGH, static_cast<uint32_t>(limit >> 32));
    bench.host_write(HOST_CONTROL, 1);
}

// fault code, pc, aux; r0..r15; counters.
static void write_result(Bench& bench, const char* name) {
    std::vector<uint64_t> words = {bench.host_read(HOST_STATUS) >> 8 & 15, bench.host_read(HOST_FAULT_PC), bench.host_read(HOST_FAULT_AUX)};
    for (unsigned i = 0; i < CORE_REGISTERS; ++i) words.push_back(bench.host_read(HOST_REGISTERS + i));
    for (unsigned i = 0; i < COUNTERS; ++i) {
        const uint64_t low = bench.host_read(HOST_COUNTERS + 2 * i);
        words.push_back(low | static_cast<uint64_t>(bench.host_read(HOST_COUNTERS + 2 * i + 1)) << 32);
    }
    FILE* file = open_optional(name);
    if (!file || std::fwrite(words.data(), sizeof words[0], words.size(), file) != words.size() || std::fclose(file)) die("cannot write", name);
}

int main(int argc, char** argv) {
    if (argc < 6) die("usage: driver CODE MEMORY LIMIT STALL_SEED RESULT [RECORDS|-] [EVENTS|-]", "");
    const uint64_t limit = std::strtoull(argv[3], nullptr, 10), seed = std::strtoull(argv[4], nullptr, 10);
    FILE* records = open_optional(argc > 6 ? argv[6] : nullptr);
    FILE* events = open_optional(argc > 7 ? argv[7] : nullptr);
    auto bench = std::make_unique<Bench>(argv[2], seed, argc, argv);
    load(*bench, read_code(argv[1]), limit);
    for (unsigned waited = 0; !bench->top().running; ++waited) {
        if (waited > 8) return 3;
        bench->tick();
    }
    std::vector<uint64_t> row(RECORD_COLUMNS + 1);
    const uint64_t most = limit ? limit + HANG_MARGIN : UINT64_MAX;
    uint64_t cycle = 0;
    while (bench->top().running) {
        if (++cycle > most) return 3;
        bench->settle();
        if (events) log_cycle(bench->top(), cycle, events);
        bench->edge();
        if (records) {
            sample(bench->top(), row.data());
            std::fwrite(row.data(), sizeof row[0], RECORD_COLUMNS, records);
        }
    }
    write_result(*bench, argv[5]);
    if (records && std::fclose(records)) die("cannot write", argv[6]);
    if (events && std::fclose(events)) die("cannot write", argv[7]);
    return 0;
}
