// Training on CPUs: gradients of depthwise convolutions, and batch norms with their activation.
//
// Pictures lie as torch's channels_last: batch, height, width, channels; a row is one place with
// all of its channels. Values are bfloat16, the upper half of a float32. Everything is computed in
// float32, and sums over a whole batch are kept in double. Vectors run over channels, whose number
// is a multiple of 8.
//
// No header of torch is included, so this compiles in seconds and fits every version of torch;
// kernels.py compiles it and calls the functions at the end.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace {

using Half = uint16_t; // the bits of a bfloat16

// How many channels are worked on at once: what a register of this CPU holds.
#if defined(__AVX512F__)
constexpr int widest = 16;
#elif defined(__AVX2__)
constexpr int widest = 8;
#else
constexpr int widest = 4;
#endif
constexpr int narrow = std::min(widest, 8); // for 8, 24, 40, ... channels

template <int lanes> struct Vectors {
  typedef float Floats __attribute__((vector_size(lanes * 4)));
  typedef uint32_t Words __attribute__((vector_size(lanes * 4)));
  typedef Half Halves __attribute__((vector_size(lanes * 2)));
};
template <int lanes> using Floats = typename Vectors<lanes>::Floats;
template <int lanes> using Words = typename Vectors<lanes>::Words;
template <int lanes> using Halves = typename Vectors<lanes>::Halves;

// std::vector forgets the alignment of a bare vector type, not that of a struct.
template <int lanes> struct Pack {
  Floats<lanes> values;
};

template <int lanes> inline Floats<lanes> load(const float *from) {
  Floats<lanes> values;
  std::memcpy(&values, from, sizeof values);
  return values;
}

template <int lanes> inline void store(float *to, Floats<lanes> values) {
  std::memcpy(to, &values, sizeof values);
}

template <int lanes> inline Floats<lanes> load(const Half *from) {
  Halves<lanes> halves;
  std::memcpy(&halves, from, sizeof halves);
#ifdef __AVX512F__
  if constexpr (lanes == 16) // in two instructions; gcc 12 takes five for what stands below
    return (Floats<lanes>)_mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)halves), 16);
#endif
  return (Floats<lanes>)(__builtin_convertvector(halves, Words<lanes>) << 16);
}

// Rounds to the nearest bfloat16, ties to even; NaN stays NaN.
template <int lanes> inline void store(Half *to, Floats<lanes> values) {
#ifdef __AVX512BF16__
  if constexpr (lanes == 16) {
    const __m256bh rounded = _mm512_cvtneps_pbh((__m512)values);
    std::memcpy(to, &rounded, sizeof rounded);
    return;
  }
#endif
  const auto bits = (Words<lanes>)values;
  const auto not_a_number = (Words<lanes>)(values != values) & 0x7fc0;
  const auto rounded = ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) | not_a_number;
  const auto halves = __builtin_convertvector(rounded, Halves<lanes>);
  std::memcpy(to, &halves, sizeof halves);
}

// Calls work(part) for 0 <= part < parts, each on a thread of its own; serial without OpenMP.
template <class Work> void in_parallel(int64_t parts, Work work) {
#pragma omp parallel for num_threads(parts) schedule(static, 1) if (parts > 1)
  for (int64_t part = 0; part < parts; ++part)
    work(part);
}

// So many parts that each has enough to do: waking a thread takes as long as some 30,000 values.
int64_t parts_of(int64_t values, int64_t threads) {
  return std::clamp<int64_t>(values / 32768, 1, threads);
}

// Calls work(lanes) with the number of lanes as a constant that the compiler knows.
template <class Work> void with_lanes(int64_t channels, Work work) {
  if (channels % widest == 0)
    work(std::integral_constant<int, widest>());
  else
    work(std::integral_constant<int, narrow>());
}

// ------------------------------------------------------------ batch norm and activation

enum Activation : int64_t { none, relu, relu6 }; // as in kernels.py

template <class Work> void with_activation(int64_t activation, Work work) {
  if (activation == relu6)
    work(std::integral_constant<int64_t, relu6>());
  else if (activation == relu)
    work(std::integral_constant<int64_t, relu>());
  else
    work(std::integral_constant<int64_t, none>());
}

// The comparisons below let NaN pass, as torch does: a run that diverges must be seen to.

template <int64_t activation, int lanes> inline Floats<lanes> activated(Floats<lanes> values) {
  const Floats<lanes> zero = {}, six = zero + 6.0f;
  if constexpr (activation != none)
    values = zero > values ? zero : values;
  if constexpr (activation == relu6)
    values = six < values ? six : values;
  return values;
}

// The gradient in front of an activation: 0 where the values it saw were clipped.
template <int64_t activation, int lanes>
inline Floats<lanes> unclipped(Floats<lanes> gradient, Floats<lanes> values) {
  const Floats<lanes> zero = {};
  if constexpr (activation != none)
    gradient = values <= 0.0f ? zero : gradient;
  if constexpr (activation == relu6)
    gradient = values >= 6.0f ? zero : gradient;
  return gradient;
}

struct Rows {
  int64_t count, channels, threads;
};

// Rows are taken in blocks that stay in the cache while all of their channels are gone through.
constexpr int64_t block = 64;

// Calls work(first, last, channel) for all blocks of rows and groups of channels of one part.
template <int lanes, class Work>
void for_blocks(const Rows &rows, int64_t part, int64_t parts, Work work) {
  const int64_t begin = rows.count * part / parts, end = rows.count * (part + 1) / parts;
  for (int64_t first = begin; first < end; first += block)
    for (int64_t channel = 0; channel < rows.channels; channel += lanes)
      work(first, std::min(end, first + block), channel);
}

template <int lanes> struct Terms {
  Floats<lanes> one, other;
};

// Two sums over all rows for each channel; terms(place, channel) tells what one row adds to them,
// `place` being where in the array its channels from `channel` on begin.
template <int lanes, class Term>
void sum_rows(const Rows &rows, double *one, double *other, Term terms) {
  const int64_t parts = parts_of(rows.count * rows.channels, rows.threads), wide = rows.channels;
  std::vector<double> sums(parts * 2 * wide, 0.0);
  in_parallel(parts, [&](int64_t part) {
    double *mine = sums.data() + part * 2 * wide;
    for_blocks<lanes>(rows, part, parts, [&](int64_t first, int64_t last, int64_t channel) {
      Terms<lanes> sum = {};
      for (int64_t row = first; row < last; ++row) {
        const Terms<lanes> added = terms(row * wide + channel, channel);
        sum.one += added.one;
        sum.other += added.other;
      }
      for (int lane = 0; lane < lanes; ++lane) {
        mine[channel + lane] += sum.one[lane];
        mine[wide + channel + lane] += sum.other[lane];
      }
    });
  });
  for (int64_t part = 0; part < parts; ++part)
    for (int64_t channel = 0; channel < wide; ++channel) {
      one[channel] += sums[part * 2 * wide + channel];
      other[channel] += sums[part * 2 * wide + wide + channel];
    }
}

// Writes value(channel)(place) for every place of the array.
template <int lanes, class Value> void map_rows(const Rows &rows, Half *out, Value value) {
  const int64_t parts = parts_of(rows.count * rows.channels, rows.threads), wide = rows.channels;
  in_parallel(parts, [=](int64_t part) {
    for_blocks<lanes>(rows, part, parts, [=](int64_t first, int64_t last, int64_t channel) {
      const auto one = value(channel); // holds what is the same for all rows
      for (int64_t place = first * wide + channel; place < last * wide; place += wide)
        store<lanes>(out + place, one(place));
    });
  });
}

// ------------------------------------------------------------ depthwise convolution

struct Shape { // of a convolution whose padding is kernel / 2
  int64_t batch, channels, height, width, kernel, stride;
  int64_t out_height() const { return (height - 1) / stride + 1; }
  int64_t out_width() const { return (width - 1) / stride + 1; }
};

struct Arrays {
  const Half *x, *gradient; // (batch, height, width, channels), (batch, out_h, out_w, channels)
  const float *weight;      // (kernel * kernel, channels)
  Half *x_gradient;         // as x
};

// Both gradients of one picture's `lanes` channels. Zeros around the picture spare the inner loops
// every question about its edges.
template <int lanes, int kernel, int stride> class Patch {
public:
  explicit Patch(const Shape &shape)
      : shape(shape), row(shape.width + 2 * pad + stride),
        input((shape.height + 2 * pad + stride) * row), answer(input.size()) {}

  void work(const Arrays &arrays, int64_t picture, int64_t channel, float *weight_gradient) {
    const int64_t here = picture * shape.height * shape.width * shape.channels + channel;
    const Half *gradient =
        arrays.gradient + picture * out_height * out_width * shape.channels + channel;
    fill(arrays.x + here);
    add_weight_gradient(gradient, weight_gradient + channel);
    spread(gradient, arrays.weight + channel);
    write(arrays.x_gradient + here);
  }

private:
  static constexpr int pad = kernel / 2, taps = kernel * kernel;

  void fill(const Half *x) {
    for (int64_t y = 0; y < shape.height; ++y)
      for (int64_t u = 0; u < shape.width; ++u)
        input[(y + pad) * row + u + pad].values =
            load<lanes>(x + (y * shape.width + u) * shape.channels);
  }

  // The sums of all taps stay in registers: 25 of AVX-512's 32.
  void add_weight_gradient(const Half *gradient, float *sums) const {
    Floats<lanes> sum[taps];
    for (int tap = 0; tap < taps; ++tap)
      sum[tap] = load<lanes>(sums + tap * shape.channels);
    for (int64_t y = 0; y < out_height; ++y)
      for (int64_t u = 0; u < out_width; ++u) {
        const auto value = load<lanes>(gradient + (y * out_width + u) * shape.channels);
        const Pack<lanes> *seen = input.data() + y * stride * row + u * stride;
#pragma GCC unroll 5
        for (int a = 0; a < kernel; ++a)
#pragma GCC unroll 5
          for (int b = 0; b < kernel; ++b)
            sum[a * kernel + b] += value * seen[a * row + b].values;
      }
    for (int tap = 0; tap < taps; ++tap)
      store<lanes>(sums + tap * shape.channels, sum[tap]);
  }

  // Every output's gradient is spread over the inputs it saw, times their weights.
  void spread(const Half *gradient, const float *weight) {
    std::fill(answer.begin(), answer.end(), Pack<lanes>{});
    Floats<lanes> weights[taps];
    for (int tap = 0; tap < taps; ++tap)
      weights[tap] = load<lanes>(weight + tap * shape.channels);
    for (int64_t y = 0; y < out_height; ++y)
      for (int64_t u = 0; u < out_width; ++u) {
        const auto value = load<lanes>(gradient + (y * out_width + u) * shape.channels);
        Pack<lanes> *seen = answer.data() + y * stride * row + u * stride;
#pragma GCC unroll 5
        for (int a = 0; a < kernel; ++a)
#pragma GCC unroll 5
          for (int b = 0; b < kernel; ++b)
            seen[a * row + b].values += value * weights[a * kernel + b];
      }
  }

  void write(Half *x_gradient) const {
    for (int64_t y = 0; y < shape.height; ++y)
      for (int64_t u = 0; u < shape.width; ++u)
        store<lanes>(x_gradient + (y * shape.width + u) * shape.channels,
                     answer[(y + pad) * row + u + pad].values);
  }

  const Shape shape;
  const int64_t out_height = shape.out_height(), out_width = shape.out_width();
  const int64_t row;                       // of the padded picture
  std::vector<Pack<lanes>> input, answer; // padded: x, and its gradient
};

template <int lanes, int kernel, int stride>
void depthwise(const Shape &shape, const Arrays &arrays, float *weight_gradient, int64_t threads) {
  const int64_t groups = shape.channels / lanes, jobs = shape.batch * groups;
  const int64_t values = jobs * lanes * shape.height * shape.width;
  const int64_t parts = std::min(jobs, parts_of(values, threads));
  const int64_t weights = kernel * kernel * shape.channels;
  std::vector<float> sums(parts * weights, 0.0f);
  in_parallel(parts, [&](int64_t part) {
    Patch<lanes, kernel, stride> patch(shape);
    for (int64_t job = jobs * part / parts; job < jobs * (part + 1) / parts; ++job)
      patch.work(arrays, job / groups, job % groups * lanes, sums.data() + part * weights);
  });
  for (int64_t part = 0; part < parts; ++part)
    for (int64_t n = 0; n < weights; ++n)
      weight_gradient[n] += sums[part * weights + n];
}

} // namespace

// ------------------------------------------------------------ what kernels.py calls
// Arrays of rows are (rows, channels); all other arrays are (channels,), and sums begin at 0.

extern "C" {

// Sums of x and of its squares.
void moments(const Half *x, double *sum, double *squares, int64_t count, int64_t channels,
             int64_t threads) {
  with_lanes(channels, [&](auto lanes) {
    sum_rows<lanes>({count, channels, threads}, sum, squares, [=](int64_t place, int64_t) {
      const auto value = load<lanes>(x + place);
      return Terms<lanes>{value, value * value};
    });
  });
}

// out = activation(scale * x + shift)
void scale_and_clip(const Half *x, const float *scale, const float *shift, Half *out,
                    int64_t activation, int64_t count, int64_t channels, int64_t threads) {
  with_lanes(channels, [&](auto lanes) {
    with_activation(activation, [&](auto act) {
      map_rows<lanes>({count, channels, threads}, out, [=](int64_t channel) {
        const auto factor = load<lanes>(scale + channel), offset = load<lanes>(shift + channel);
        return [=](int64_t place) {
          return activated<act, lanes>(factor * load<lanes>(x + place) + offset);
        };
      });
    });
  });
}

// Sums of the gradient in front of the activation, and of it times (x - mean).
void gradient_sums(const Half *x, const Half *gradient, const float *mean, const float *scale,
                   const float *shift, double *sum, double *product, int64_t activation,
                   int64_t count, int64_t channels, int64_t threads) {
  with_lanes(channels, [&](auto lanes) {
    with_activation(activation, [&](auto act) {
      const Rows rows = {count, channels, threads};
      sum_rows<lanes>(rows, sum, product, [=](int64_t place, int64_t channel) {
        const auto value = load<lanes>(x + place);
        const auto seen = load<lanes>(scale + channel) * value + load<lanes>(shift + channel);
        const auto passed = unclipped<act, lanes>(load<lanes>(gradient + place), seen);
        return Terms<lanes>{passed, passed * (value - load<lanes>(mean + channel))};
      });
    });
  });
}

// out = scale * (the gradient in front of the activation) - slope * x + offset
void input_gradient(const Half *x, const Half *gradient, const float *scale, const float *shift,
                    const float *slope, const float *offset, Half *out, int64_t activation,
                    int64_t count, int64_t channels, int64_t threads) {
  with_lanes(channels, [&](auto lanes) {
    with_activation(activation, [&](auto act) {
      map_rows<lanes>({count, channels, threads}, out, [=](int64_t channel) {
        const auto factor = load<lanes>(scale + channel), moved = load<lanes>(shift + channel);
        const auto tilt = load<lanes>(slope + channel), base = load<lanes>(offset + channel);
        return [=](int64_t place) {
          const auto value = load<lanes>(x + place);
          const auto seen = factor * value + moved;
          const auto passed = unclipped<act, lanes>(load<lanes>(gradient + place), seen);
          return factor * passed + (base - tilt * value);
        };
      });
    });
  });
}

// Gradients of a depthwise convolution, kernel 3 or 5 and stride 1 or 2; see Arrays for shapes.
void depthwise_gradients(const Half *x, const Half *gradient, const float *weight,
                         Half *x_gradient, float *weight_gradient, int64_t batch,
                         int64_t channels, int64_t height, int64_t width, int64_t kernel,
                         int64_t stride, int64_t threads) {
  const Shape shape = {batch, channels, height, width, kernel, stride};
  const Arrays arrays = {x, gradient, weight, x_gradient};
  with_lanes(channels, [&](auto lanes) {
    const auto kind = kernel == 5 ? (stride == 1 ? depthwise<lanes, 5, 1> : depthwise<lanes, 5, 2>)
                                  : (stride == 1 ? depthwise<lanes, 3, 1> : depthwise<lanes, 3, 2>);
    kind(shape, arrays, weight_gradient, threads);
  });
}
}
