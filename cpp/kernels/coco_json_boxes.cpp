// Results of boxes and keypoints, piece by piece.
#include <algorithm>
#include <cmath>

#include "kernels/coco_json.hpp"
#include "support/parallel.hpp"

namespace maskmill {
namespace {

using json::Cursor;

constexpr size_t kChunk = 1 << 20;
constexpr size_t kMostRow = 1 << 16;  // longer rows are not what detectors write
constexpr int64_t kExact = int64_t{1} << 53;

// Thrown, and caught below, where a file is something else.
struct NotBoxes {};

// A stretch of the file in memory, moving forward.
class Window {
  public:
    Window(const ByteSource& source, size_t size, size_t offset) : source_(source), size_(size), base_(offset) {
        refill(offset);
    }
    // Makes the window begin at `offset`, which it holds or ends at.
    void refill(size_t offset) {
        const size_t held = base_ + buffer_.size() - offset;
        if (held > 0) std::memmove(buffer_.data(), buffer_.data() + (offset - base_), held);
        const size_t n = std::min(kChunk, size_ - (offset + held));
        buffer_.resize(held + n);
        if (n > 0 && !source_(offset + held, buffer_.data() + held, n)) throw NotBoxes{};
        base_ = offset;
    }
    const char* data() const { return buffer_.data(); }
    size_t length() const { return buffer_.size(); }
    size_t base() const { return base_; }
    bool reaches_end() const { return base_ + buffer_.size() == size_; }

  private:
    const ByteSource& source_;
    size_t size_, base_;
    Buffer<char> buffer_;
};

// The keys of a row, with the text around each as the first row has it.
struct Template {
    std::vector<uint32_t> keys;
    std::vector<std::string> text;
    size_t numbers = 0;  // in keypoints
};

uint32_t key_of(std::string_view key) {
    if (key == "image_id") return kImageId;
    if (key == "category_id") return kCategoryId;
    if (key == "bbox") return kBbox;
    if (key == "score") return kScore;
    if (key == "keypoints") return kKeypoints;
    throw NotBoxes{};
}

size_t count_numbers(Cursor& c) {
    size_t n = 0;
    c.array([&] {
        c.number();
        ++n;
    });
    return n;
}

Template read_template(Cursor& c) {
    Template t;
    uint32_t seen = 0;
    size_t begin = c.at();
    c.expect('{', "an object");
    do {
        if (c.peek() != '"') throw NotBoxes{};
        bool escaped = false;
        const json::Slice key = c.string(escaped);
        if (escaped) throw NotBoxes{};
        const uint32_t field = key_of(c.view(key));
        if ((seen & field) != 0) throw NotBoxes{};
        seen |= field;
        c.expect(':', "':'");
        c.skip_space();
        t.keys.push_back(field);
        t.text.emplace_back(c.view({begin, c.at()}));
        if (field == kKeypoints) {
            t.numbers = count_numbers(c);
            if (t.numbers == 0 || t.numbers % 3 != 0) throw NotBoxes{};
        } else {
            c.skip();
        }
        begin = c.at();
    } while (c.take(','));
    c.expect('}', "'}'");
    constexpr uint32_t needed = kImageId | kCategoryId | kScore;
    if ((seen & needed) != needed || (seen & (kBbox | kKeypoints)) == 0) throw NotBoxes{};
    return t;
}

int64_t read_id(Cursor& c) {
    const json::Number n = c.number();
    if (!n.is_integer || n.integer < -kExact || n.integer > kExact) throw NotBoxes{};
    return n.integer;
}

double read_value(Cursor& c, unsigned bit, uint8_t& integers) {
    const json::Number n = c.number();
    if (n.is_integer) {
        if (n.integer < -kExact || n.integer > kExact) throw NotBoxes{};
        integers = static_cast<uint8_t>(integers | 1u << bit);
    } else if (!(std::abs(n.value) < 9e15)) {  // not finite, or perhaps an integer too long for a double
        throw NotBoxes{};
    }
    return n.value;
}

struct Row {
    int64_t image_id, category_id;
    double bbox[4], score;
    uint8_t integers;
    double* keypoints;  // where they go
    uint8_t* keypoint_integers;
};

// Exactly n numbers; bit i of the integers tells whether number i is one.
void read_numbers(Cursor& c, size_t n, double* out, uint8_t* integers) {
    c.expect('[', "an array");
    for (size_t i = 0; i < n; ++i) {
        if (i > 0) c.expect(',', "','");
        if (i % 8 == 0) integers[i / 8] = 0;
        out[i] = read_value(c, i % 8, integers[i / 8]);
    }
    c.expect(']', "']'");
}

void read_row(Cursor& c, const Template& t, Row& row) {
    uint8_t box_integers = 0, score_integer = 0;
    for (size_t k = 0; k < t.keys.size(); ++k) {
        if (!c.take_text(t.text[k])) {  // other spaces, at most
            c.expect(k == 0 ? '{' : ',', "the next key");
            bool escaped = false;
            if (c.peek() != '"') throw NotBoxes{};
            const json::Slice key = c.string(escaped);
            if (escaped || key_of(c.view(key)) != t.keys[k]) throw NotBoxes{};
            c.expect(':', "':'");
        }
        switch (t.keys[k]) {
            case kImageId: row.image_id = read_id(c); break;
            case kCategoryId: row.category_id = read_id(c); break;
            case kScore: row.score = read_value(c, 4, score_integer); break;
            case kKeypoints: read_numbers(c, t.numbers, row.keypoints, row.keypoint_integers); break;
            default: read_numbers(c, 4, row.bbox, &box_integers);
        }
    }
    c.expect('}', "'}'");
    row.integers = box_integers | score_integer;
}

// Rows of one piece go to the columns from `first` on, as far as there is room.
struct Piece {
    size_t start = 0;  // offset of its first element
    size_t first = 0, room = 0, n = 0;
    bool ended = false;
    size_t stopped = 0;
    bool failed = false;
};

// Reads elements until one begins at `until` or beyond, or the array ends.
void read_piece(const ByteSource& source, size_t size, size_t until, const Template& t, Piece& piece, CocoBoxes& out) {
    Window window(source, size, piece.start);
    const bool has_boxes = out.bbox.size() > 0;
    const size_t bytes = CocoBoxes::bytes_of(t.numbers);
    Row row;
    for (size_t at = piece.start;;) {
        if (window.base() + window.length() - at < kMostRow && !window.reaches_end()) window.refill(at);
        Cursor c(window.data(), window.length(), at - window.base());
        c.skip_space();
        at = window.base() + c.at();
        if (at >= until) {
            piece.stopped = at;
            return;
        }
        if (piece.n == piece.room) throw NotBoxes{};
        const size_t i = piece.first + piece.n++;
        row.keypoints = out.keypoints.data() + i * t.numbers;
        row.keypoint_integers = out.keypoint_integers.data() + i * bytes;
        read_row(c, t, row);
        out.image_id[i] = row.image_id;
        out.category_id[i] = row.category_id;
        if (has_boxes) std::copy_n(row.bbox, 4, out.bbox.data() + 4 * i);
        out.score[i] = row.score;
        out.integers[i] = row.integers;
        const bool more = c.take(',');
        if (!more) c.expect(']', "',' or ']'");
        at = window.base() + c.at();
        if (!more) {
            while (c.at_end() && !window.reaches_end()) {
                window.refill(at = window.base() + window.length());
                c = Cursor(window.data(), window.length());
            }
            if (!c.at_end()) throw NotBoxes{};  // something behind the array
            piece.ended = true;
            return;
        }
    }
}

// The first place from `at` on that looks like the start of an element: '{' behind "},".
size_t find_start(const ByteSource& source, size_t size, size_t at) {
    const Window window(source, size, at);
    for (size_t p = 0; p + 1 < window.length(); ++p) {
        if (window.data()[p] != '}') continue;
        Cursor c(window.data(), window.length(), p + 1);
        if (c.take(',') && c.peek() == '{') return at + c.at();
    }
    throw NotBoxes{};
}

// Calls visit(column, width) for each column.
template <class Visit>
void each_column(CocoBoxes& boxes, Visit&& visit) {
    const bool has_boxes = std::find(boxes.keys.begin(), boxes.keys.end(), kBbox) != boxes.keys.end();
    visit(boxes.image_id, 1);
    visit(boxes.category_id, 1);
    visit(boxes.bbox, has_boxes ? 4 : 0);
    visit(boxes.score, 1);
    visit(boxes.integers, 1);
    visit(boxes.keypoints, boxes.numbers);
    visit(boxes.keypoint_integers, CocoBoxes::bytes_of(boxes.numbers));
}

void read_all(const ByteSource& source, size_t size, CocoBoxes& out) {
    Template t;
    size_t begin, row_bytes;
    {
        const Window head(source, size, 0);
        Cursor c(head.data(), head.length());
        c.expect('[', "an array");
        if (c.peek() != '{') throw NotBoxes{};
        begin = c.at();
        t = read_template(c);
        // Some rows more, to know how long they are.
        size_t rows = 1, end = c.at();
        Buffer<double> keypoints(t.numbers);
        Buffer<uint8_t> integers(CocoBoxes::bytes_of(t.numbers));
        Row row;
        row.keypoints = keypoints.data();
        row.keypoint_integers = integers.data();
        for (; rows < 64 && c.take(',') && head.length() - c.at() > kMostRow; ++rows) {
            c.skip_space();
            read_row(c, t, row);
            end = c.at();
        }
        row_bytes = (end - begin) / rows + 1;
    }
    out.keys = t.keys;
    out.numbers = t.numbers;
    const auto threads = static_cast<size_t>(thread_count());
    const size_t count = std::clamp<size_t>((size - begin) / (4 * kChunk), 1, threads);
    std::vector<Piece> pieces(count);
    // Memory that is reserved but never written costs nothing.
    const size_t room = (size - begin) / count / row_bytes * 5 / 4 + 1024;
    for (size_t p = 0; p < count; ++p) {
        pieces[p].start = p == 0 ? begin : find_start(source, size, begin + (size - begin) / count * p);
        pieces[p].first = p * room;
        pieces[p].room = room;
    }
    each_column(out, [&](auto& column, size_t width) { column.resize(count * room * width); });
    parallel_run(count, [&](size_t p) {
        try {
            read_piece(source, size, p + 1 < count ? pieces[p + 1].start : size + 1, t, pieces[p], out);
        } catch (const NotBoxes&) {
            pieces[p].failed = true;
        } catch (const json::Error&) {
            pieces[p].failed = true;
        }
    });
    for (size_t p = 0; p < count; ++p) {
        // A piece counts if the one before arrived exactly at its start.
        const bool last = p + 1 == count;
        if (pieces[p].failed || pieces[p].ended != last || (!last && pieces[p].stopped != pieces[p + 1].start))
            throw NotBoxes{};
        each_column(out, [&](auto& column, size_t width) {
            if (width == 0) return;
            std::memmove(&column[out.n * width], &column[pieces[p].first * width],
                         pieces[p].n * width * sizeof(column[0]));
        });
        out.n += pieces[p].n;
    }
    each_column(out, [&](auto& column, size_t width) { column.shrink(out.n * width); });
}

}  // namespace

bool coco_json_read_boxes(const ByteSource& source, size_t size, CocoBoxes& out) {
    try {
        read_all(source, size, out);
        return true;
    } catch (const NotBoxes&) {
    } catch (const json::Error&) {
    }
    out = CocoBoxes{};
    return false;
}

}  // namespace maskmill
