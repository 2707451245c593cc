// The device's RTL as a process that another program steps: commands on stdin, answers on stdout.
//
// Numbers are little-endian, 32 bits unless said otherwise; text has its length before it.
//
//   W n bytes        queue bytes for the line into the device
//   R most settle    run until `settle` cycles after the last byte out (or, with none, `most`
//                    cycles): cycles run, n, bytes
//   T                trace so far: n, bytes; each record is step, index, v, u, spike as they lie
//   L                sizes of the five parts of a record
//   K name           bits of a register or of a memory's word, 0 if there is none; words
//   F cycle64 word bit name   change a bit before the edge of that cycle (counted from reset)
//   S                from here on a copy runs; one byte when it is ready
//   X                the copy ends, and what it is a copy of goes on and says so by a byte; if
//                    there is none, the program ends
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "Vtop.h"
#include "verilated.h"
#ifdef SPIKEC_FLIPS
#include "verilated_vpi.h"
#endif

namespace {

struct Flip {
  uint64_t cycle;
  uint32_t word, bit;
  std::string name;
};

std::unique_ptr<VerilatedContext> context;
std::unique_ptr<Vtop> top;
std::deque<uint8_t> line;
std::vector<uint8_t> heard, trace;
std::vector<Flip> flips;
uint64_t cycle = 0;

void take(void* to, size_t size) {
  auto at = static_cast<uint8_t*>(to);
  while (size != 0) {
    const ssize_t got = read(0, at, size);
    if (got <= 0) _exit(0);  // whoever asked is gone
    at += got;
    size -= static_cast<size_t>(got);
  }
}

void give(const void* from, size_t size) {
  auto at = static_cast<const uint8_t*>(from);
  while (size != 0) {
    const ssize_t put = write(1, at, size);
    if (put <= 0) _exit(0);
    at += put;
    size -= static_cast<size_t>(put);
  }
}

uint32_t number() {
  uint32_t value;
  take(&value, sizeof value);
  return value;
}

std::string text() {
  std::string value(number(), '\0');
  take(value.data(), value.size());
  return value;
}

void give_number(size_t value) {
  const auto narrow = static_cast<uint32_t>(value);
  give(&narrow, sizeof narrow);
}

void give_bytes(std::vector<uint8_t>& bytes) {
  give_number(bytes.size());
  give(bytes.data(), bytes.size());
  bytes.clear();
}

template <typename Port>
void keep(const Port& port) {
  const auto at = reinterpret_cast<const uint8_t*>(&port);
  trace.insert(trace.end(), at, at + sizeof port);
}

#ifdef SPIKEC_FLIPS
vpiHandle found(const std::string& name) {
  return vpi_handle_by_name(const_cast<PLI_BYTE8*>(name.c_str()), nullptr);
}

bool many(vpiHandle handle) {
  const auto type = vpi_get(vpiType, handle);
  return type == vpiMemory || type == vpiRegArray;
}

void apply(const Flip& flip) {
  vpiHandle handle = found(flip.name);
  if (handle != nullptr && many(handle))
    handle = vpi_handle_by_index(handle, static_cast<PLI_INT32>(flip.word));
  if (handle == nullptr) abort();
  s_vpi_value value;
  value.format = vpiVectorVal;
  vpi_get_value(handle, &value);
  const auto words = static_cast<size_t>((vpi_get(vpiSize, handle) + 31) / 32);
  std::vector<s_vpi_vecval> vector(value.value.vector, value.value.vector + words);
  vector[flip.bit / 32].aval ^= static_cast<PLI_INT32>(1u << flip.bit % 32);
  value.value.vector = vector.data();
  vpi_put_value(handle, &value, nullptr, vpiNoDelay);
}
#endif

// One clock cycle. Ports are looked at before the edge.
void step() {
#ifdef SPIKEC_FLIPS
  bool changed = false;
  for (const Flip& flip : flips)
    if (flip.cycle == cycle) {
      apply(flip);
      changed = true;
    }
  if (changed) top->eval();
#endif
  top->rst = cycle < 4;
  if (!top->rx_valid && !line.empty()) {
    top->rx_payload = line.front();
    top->rx_valid = 1;
  }
  top->tx_ready = 1;
  top->eval();
  const bool taken = !top->rst && top->rx_valid && top->rx_ready;
  if (!top->rst && top->tx_valid) heard.push_back(top->tx_payload);
  if (!top->rst && top->trace_valid) {
    keep(top->trace_step);
    keep(top->trace_index);
    keep(top->trace_v);
    keep(top->trace_u);
    keep(top->trace_spike);
  }
  top->clk = 1;
  top->eval();
  if (taken) {
    line.pop_front();
    top->rx_valid = 0;
  }
  top->clk = 0;
  top->eval();
  cycle++;
}

void run() {
  const uint32_t most = number(), settle = number();
  uint32_t done = 0, quiet = 0;
  while (done < most) {
    const size_t before = heard.size();
    step();
    done++;
    quiet = heard.size() == before && line.empty() ? quiet + 1 : 0;
    if (!heard.empty() && quiet >= settle) break;
  }
  give_number(done);
  give_bytes(heard);
}

}  // namespace

int main(int argc, char** argv) {
  context = std::make_unique<VerilatedContext>();
  context->commandArgs(argc, argv);
  top = std::make_unique<Vtop>(context.get(), "TOP");
  top->clk = 0;
  top->rst = 1;
  top->rx_valid = 0;
  top->eval();
  for (;;) {
    char command;
    take(&command, 1);
    switch (command) {
      case 'W': {
        std::vector<uint8_t> bytes(number());
        take(bytes.data(), bytes.size());
        line.insert(line.end(), bytes.begin(), bytes.end());
        break;
      }
      case 'R':
        run();
        break;
      case 'T':
        give_bytes(trace);
        break;
      case 'L':
        give_number(sizeof top->trace_step);
        give_number(sizeof top->trace_index);
        give_number(sizeof top->trace_v);
        give_number(sizeof top->trace_u);
        give_number(sizeof top->trace_spike);
        break;
#ifdef SPIKEC_FLIPS
      case 'K': {
        vpiHandle handle = found(text());
        uint32_t words = 0, bits = 0;
        if (handle != nullptr) {
          words = 1;
          if (many(handle)) {
            words = static_cast<uint32_t>(vpi_get(vpiSize, handle));
            handle = vpi_handle_by_index(handle, 0);
          }
          bits = handle == nullptr ? 0 : static_cast<uint32_t>(vpi_get(vpiSize, handle));
        }
        give_number(bits);
        give_number(words);
        break;
      }
      case 'F': {
        Flip flip;
        take(&flip.cycle, sizeof flip.cycle);
        flip.word = number();
        flip.bit = number();
        flip.name = text();
        flips.push_back(flip);
        break;
      }
#endif
      case 'S': {
        const pid_t child = fork();
        if (child < 0) abort();
        if (child != 0) waitpid(child, nullptr, 0);
        // The copy says that it is ready, the other one that it is back.
        give(child == 0 ? "s" : "b", 1);
        break;
      }
      case 'X':
        _exit(0);
      default:
        abort();
    }
  }
}
