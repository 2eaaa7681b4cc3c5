#include "kernels/coco_json.hpp"

#include <algorithm>
#include <cmath>
#include <memory>

#include "support/parallel.hpp"

namespace maskmill {
namespace {

using json::Cursor;
using json::Slice;

constexpr int64_t kExact = int64_t{1} << 53;

// Reads the value of one known field. Returns false, with the value skipped, if it is of another kind.
bool read_integer(Cursor& c, int64_t& out) {
    const char first = c.peek();
    if (first != '-' && (first < '0' || first > '9')) {
        c.skip();
        return false;
    }
    const json::Number number = c.number();
    out = number.integer;
    return number.is_integer && out >= -kExact && out <= kExact;
}

bool read_double(Cursor& c, double& out) {
    const char first = c.peek();
    if (first != '-' && (first < '0' || first > '9')) {
        c.skip();
        return false;
    }
    const json::Number number = c.number();
    out = number.value;
    return std::isfinite(out) && (!number.is_integer || (number.integer >= -kExact && number.integer <= kExact));
}

// Exactly `count` numbers.
bool read_doubles(Cursor& c, double* out, size_t count) {
    if (c.peek() != '[') {
        c.skip();
        return false;
    }
    size_t k = 0;
    bool good = true;
    c.array([&] {
        double value = 0;
        good &= read_double(c, value);
        if (k < count) out[k] = value;
        ++k;
    });
    return good && k == count;
}

// 0, 1, false or true.
bool read_flag(Cursor& c, uint8_t& out) {
    const char first = c.peek();
    if (first == 't' || first == 'f') {
        c.skip();
        out = first == 't';
        return true;
    }
    int64_t value = 0;
    const bool good = read_integer(c, value) && (value == 0 || value == 1);
    out = value == 1;
    return good;
}

// A list of lists of numbers, skipped.
bool skip_polygons(Cursor& c) {
    bool good = true;
    c.array([&] {
        if (c.peek() != '[') {
            good = false;
            c.skip();
            return;
        }
        c.array([&] {
            const char first = c.peek();
            if (first == '-' || (first >= '0' && first <= '9')) {
                c.skip_number();
            } else {
                good = false;
                c.skip();
            }
        });
    });
    return good;
}

struct Segmentation {
    SegmentationKind kind = SegmentationKind::none;
    Slice slice;
    int64_t size[2] = {0, 0};
};

bool read_segmentation(Cursor& c, Segmentation& out) {
    const char first = c.peek();
    if (first == '[') {
        out.slice.begin = c.at();
        const bool good = skip_polygons(c);
        out.slice.end = c.at();
        out.kind = SegmentationKind::polygons;
        return good;
    }
    if (first != '{') {
        c.skip();
        return false;
    }
    bool good = true, has_size = false;
    c.object([&](std::string_view key) {
        if (key == "counts") {
            if (c.peek() == '"') {
                bool escaped = false;
                out.slice = c.string(escaped);
                out.kind = escaped ? SegmentationKind::rle_escaped : SegmentationKind::rle;
            } else if (c.peek() == '[') {
                out.slice.begin = c.at();
                c.array([&] {
                    int64_t n = 0;
                    good &= read_integer(c, n) && n >= 0 && n <= 0xffffffffLL;
                });
                out.slice.end = c.at();
                out.kind = SegmentationKind::counts;
            } else {
                good = false;
                c.skip();
            }
        } else if (key == "size") {
            double size[2] = {0, 0};
            has_size = read_doubles(c, size, 2);
            for (int k = 0; k < 2; ++k) {
                has_size &= size[k] >= 0 && size[k] <= 0x7fffffff && size[k] == std::floor(size[k]);
                out.size[k] = has_size ? static_cast<int64_t>(size[k]) : 0;
            }
        } else {
            c.skip();
        }
    });
    return good && has_size && out.kind != SegmentationKind::none;
}

// Row by row; columns that a file does not have stay empty.
class RowReader {
  public:
    explicit RowReader(CocoRows& rows) : rows_(rows) {}

    // False (with the value skipped) if the element is no object.
    bool read(Cursor& c) {
        if (c.peek() != '{') {
            c.skip();
            return false;
        }
        const size_t begin = c.at();
        row_ = Row{};
        c.object([&](std::string_view key) { field(c, key); });
        store(begin, c.at());
        return true;
    }

  private:
    struct Row {
        uint32_t fields = 0, odd = 0;
        int64_t id = 0, image_id = 0, category_id = 0, num_keypoints = 0;
        double area = 0, score = 0, bbox[4] = {0, 0, 0, 0};
        uint8_t iscrowd = 0;
        Segmentation segmentation;
        Slice keypoints;
    };

    void mark(uint32_t field, bool good) {
        row_.fields = good ? row_.fields | field : row_.fields & ~field;  // a later key of the same name wins
        row_.odd = good ? row_.odd & ~field : row_.odd | field;
    }

    void field(Cursor& c, std::string_view key) {
        switch (key.size()) {
            case 2:
                if (key == "id") return mark(kId, read_integer(c, row_.id));
                break;
            case 4:
                if (key == "bbox") return mark(kBbox, read_doubles(c, row_.bbox, 4));
                if (key == "area") return mark(kArea, read_double(c, row_.area));
                break;
            case 5:
                if (key == "score") return mark(kScore, read_double(c, row_.score));
                break;
            case 6:
                if (key == "ignore") {
                    c.skip();
                    return mark(kIgnore, true);
                }
                break;
            case 7:
                if (key == "iscrowd") return mark(kIscrowd, read_flag(c, row_.iscrowd));
                if (key == "caption") {
                    c.skip();
                    return mark(kCaption, true);
                }
                break;
            case 8:
                if (key == "image_id") return mark(kImageId, read_integer(c, row_.image_id));
                break;
            case 9:
                if (key == "keypoints") {
                    c.peek();
                    row_.keypoints.begin = c.at();
                    const bool good = c.peek() == '[';
                    c.skip();
                    row_.keypoints.end = c.at();
                    return mark(kKeypoints, good);
                }
                break;
            case 11:
                if (key == "category_id") return mark(kCategoryId, read_integer(c, row_.category_id));
                break;
            case 12:
                if (key == "segmentation") {
                    row_.segmentation = Segmentation{};
                    return mark(kSegmentation, read_segmentation(c, row_.segmentation));
                }
                break;
            case 13:
                if (key == "num_keypoints") return mark(kNumKeypoints, read_integer(c, row_.num_keypoints));
                break;
            default: break;
        }
        c.skip();
    }

    // A column begins with the first row that has it; rows before it hold 0.
    template <class T>
    void put(Buffer<T>& column, uint32_t field, const T* value, size_t width = 1) {
        if (column.size() == 0) {
            if ((row_.fields & field) == 0) return;
            column.resize(rows_.n * width);
            std::fill(column.begin(), column.end(), T{});
        }
        column.append(value, width);
    }

    void store(size_t begin, size_t end) {
        rows_.any |= row_.fields;
        rows_.odd |= row_.odd;
        rows_.fields.push(row_.fields);
        rows_.begin.push(begin);
        rows_.end.push(end);
        put(rows_.id, kId, &row_.id);
        put(rows_.image_id, kImageId, &row_.image_id);
        put(rows_.category_id, kCategoryId, &row_.category_id);
        put(rows_.area, kArea, &row_.area);
        put(rows_.score, kScore, &row_.score);
        put(rows_.bbox, kBbox, row_.bbox, 4);
        put(rows_.iscrowd, kIscrowd, &row_.iscrowd);
        put(rows_.num_keypoints, kNumKeypoints, &row_.num_keypoints);
        const Segmentation& s = row_.segmentation;
        const auto kind = static_cast<uint8_t>(s.kind);
        const uint64_t s_begin = s.slice.begin, s_end = s.slice.end;
        put(rows_.segmentation_kind, kSegmentation, &kind);
        put(rows_.segmentation_begin, kSegmentation, &s_begin);
        put(rows_.segmentation_end, kSegmentation, &s_end);
        put(rows_.segmentation_size, kSegmentation, s.size, 2);
        const uint64_t k_begin = row_.keypoints.begin, k_end = row_.keypoints.end;
        put(rows_.keypoints_begin, kKeypoints, &k_begin);
        put(rows_.keypoints_end, kKeypoints, &k_end);
        ++rows_.n;
    }

    CocoRows& rows_;
    Row row_;
};

template <class T>
void join(Buffer<T>& to, Buffer<T>& from, size_t rows_to, size_t rows_from, size_t width = 1) {
    if (to.size() == 0 && from.size() == 0) return;
    const size_t had = to.size();
    if (had == 0) {
        if (rows_to == 0) {
            to = std::move(from);
            return;
        }
        to.resize(rows_to * width);
        std::fill(to.begin(), to.end(), T{});
    }
    if (from.size() == 0) {
        const size_t size = to.size();
        to.resize(size + rows_from * width);
        std::fill(to.begin() + size, to.end(), T{});
    } else {
        to.append(from.data(), from.size());
    }
    from = Buffer<T>();
}

void join(CocoRows& to, CocoRows& from) {
    const size_t n = to.n, m = from.n;
    join(to.fields, from.fields, n, m);
    join(to.begin, from.begin, n, m);
    join(to.end, from.end, n, m);
    join(to.id, from.id, n, m);
    join(to.image_id, from.image_id, n, m);
    join(to.category_id, from.category_id, n, m);
    join(to.area, from.area, n, m);
    join(to.score, from.score, n, m);
    join(to.bbox, from.bbox, n, m, 4);
    join(to.iscrowd, from.iscrowd, n, m);
    join(to.num_keypoints, from.num_keypoints, n, m);
    join(to.segmentation_kind, from.segmentation_kind, n, m);
    join(to.segmentation_begin, from.segmentation_begin, n, m);
    join(to.segmentation_end, from.segmentation_end, n, m);
    join(to.segmentation_size, from.segmentation_size, n, m, 2);
    join(to.keypoints_begin, from.keypoints_begin, n, m);
    join(to.keypoints_end, from.keypoints_end, n, m);
    to.any |= from.any;
    to.odd |= from.odd;
    to.n += from.n;
}

// One thread's share of a long array.
struct Piece {
    CocoRows rows;
    bool all_objects = true;
    bool ended = false;   // the array's ']' was read
    size_t stopped = 0;   // where the next element, or what follows the array, begins
    std::exception_ptr failure;
};

// Reads elements from c until one begins at `until` or beyond, or the array ends. The cursor is at an element.
void read_elements(Cursor& c, size_t until, Piece& piece) {
    RowReader reader(piece.rows);
    for (;;) {
        c.skip_space();
        if (c.at() >= until) {
            piece.stopped = c.at();
            return;
        }
        piece.all_objects &= reader.read(c);
        if (c.take(',')) continue;
        c.expect(']', "',' or ']'");
        piece.ended = true;
        piece.stopped = c.at();
        return;
    }
}

// The next place from `at` on that looks like the start of an element: '{' behind "},".
size_t find_candidate(const char* text, size_t n, size_t at) {
    while (at < n) {
        const void* found = std::memchr(text + at, '}', n - at);
        if (found == nullptr) return n;
        size_t p = static_cast<size_t>(static_cast<const char*>(found) - text) + 1;
        at = p;
        const auto space = [&] {
            while (p < n && (text[p] == ' ' || text[p] == '\n' || text[p] == '\r' || text[p] == '\t')) ++p;
        };
        space();
        if (p >= n || text[p] != ',') continue;
        ++p;
        space();
        if (p < n && text[p] == '{') return p;
    }
    return n;
}

constexpr size_t kPieceBytes = 1 << 20;

// An array of rows; returns false if any element is no object.
bool read_rows(Cursor& c, size_t size, CocoRows& rows) {
    c.expect('[', "an array");
    if (c.take(']')) return true;
    c.skip_space();
    const size_t begin = c.at();
    const size_t wanted = std::min<size_t>(static_cast<size_t>(thread_count()) * 4, (size - begin) / kPieceBytes + 1);
    const size_t count = thread_count() == 1 ? 1 : wanted;
    std::vector<size_t> starts{begin};
    for (size_t p = 1; p < count; ++p) {
        const size_t at = find_candidate(c.text(), size, begin + (size - begin) / count * p);
        if (at < size && at > starts.back()) starts.push_back(at);
    }
    const auto pieces = std::make_unique<Piece[]>(starts.size());
    const auto until = [&](size_t p) { return p + 1 < starts.size() ? starts[p + 1] : size + 1; };
    parallel_run(starts.size(), [&](size_t p) {
        try {
            Cursor own(c.text(), size, starts[p]);
            read_elements(own, until(p), pieces[p]);
        } catch (...) {
            pieces[p].failure = std::current_exception();  // may be a false start
        }
    });
    bool all_objects = true;
    for (size_t p = 0; p < starts.size();) {
        Piece& piece = pieces[p];
        if (piece.failure) std::rethrow_exception(piece.failure);
        all_objects &= piece.all_objects;
        join(rows, piece.rows);
        if (piece.ended) {
            c.move_to(piece.stopped);
            return all_objects;
        }
        // The next piece counts if it began where this one stopped. If it did not, this one goes on in its place.
        size_t next = p + 1;
        while (next < starts.size() && starts[next] < piece.stopped) ++next;
        if (next == starts.size() || starts[next] != piece.stopped) {
            pieces[next - 1] = Piece{};
            Cursor own(c.text(), size, piece.stopped);
            const size_t target = next < starts.size() ? starts[next] : size + 1;
            --next;
            read_elements(own, target, pieces[next]);
        }
        p = next;
    }
    c.fail("',' or ']'");
}

void read_images(Cursor& c, CocoImages& images) {
    c.array([&] {
        if (c.peek() != '{') {
            c.skip();
            images.odd |= kId;
            return;
        }
        const size_t begin = c.at();
        uint32_t fields = 0, odd = 0;
        int64_t id = 0, height = 0, width = 0;
        const auto mark = [&](uint32_t field, bool good) {
            fields = good ? fields | field : fields & ~field;
            odd = good ? odd & ~field : odd | field;
        };
        c.object([&](std::string_view key) {
            if (key == "id") {
                mark(kId, read_integer(c, id));
            } else if (key == "height") {
                mark(kHeight, read_integer(c, height) && height >= 0 && height <= 0x7fffffff);
            } else if (key == "width") {
                mark(kWidth, read_integer(c, width) && width >= 0 && width <= 0x7fffffff);
            } else {
                c.skip();
            }
        });
        images.odd |= odd;
        images.fields.push(fields);
        images.begin.push(begin);
        images.end.push(c.at());
        images.id.push(id);
        images.height.push((fields & kHeight) != 0 ? height : 0);
        images.width.push((fields & kWidth) != 0 ? width : 0);
        ++images.n;
    });
}

void read_categories(Cursor& c, CocoCategories& categories) {
    c.array([&] {
        if (c.peek() != '{') {
            c.skip();
            categories.odd |= kId;
            return;
        }
        const size_t begin = c.at();
        uint32_t fields = 0, odd = 0;
        int64_t id = 0;
        c.object([&](std::string_view key) {
            if (key == "id") {
                const bool good = read_integer(c, id);
                (good ? fields : odd) = kId;
                (good ? odd : fields) = 0;
            } else {
                c.skip();
            }
        });
        categories.odd |= odd;
        categories.fields.push(fields);
        categories.begin.push(begin);
        categories.end.push(c.at());
        categories.id.push(id);
        ++categories.n;
    });
}

// One of the three known sections. A later one of the same name wins, as everywhere in JSON.
void read_section(Cursor& c, std::string_view key, size_t size, CocoFile& out) {
    if (key == "annotations") {
        out.rows = CocoRows{};
        if (c.peek() != '[') {
            c.skip();
            out.rows.odd |= kId;
        } else if (!read_rows(c, size, out.rows)) {
            out.rows.odd |= kId;
        }
    } else if (key == "images") {
        out.images = CocoImages{};
        c.peek() == '[' ? read_images(c, out.images) : static_cast<void>((c.skip(), out.images.odd |= kId));
    } else if (key == "categories") {
        out.categories = CocoCategories{};
        c.peek() == '[' ? read_categories(c, out.categories) : static_cast<void>((c.skip(), out.categories.odd |= kId));
    } else {
        c.skip();
    }
}

}  // namespace

CocoFile coco_json_read(const char* text, size_t n) {
    const size_t invalid = json::find_invalid_utf8(text, n);
    if (invalid < n) throw json::Error("expected UTF-8", invalid);
    CocoFile out;
    Cursor c(text, n);
    if (c.peek() == '[') {
        out.is_results = true;
        if (!read_rows(c, n, out.rows)) out.rows.odd |= kId;
    } else {
        if (c.peek() != '{') c.fail("an object or an array");
        c.object([&](std::string_view key) {
            // The key's own text lies between the last two quotes before the colon; a decoded one does not.
            CocoFile::Section section;
            const bool in_text = key.data() >= text && key.data() < text + n;
            if (in_text) {
                section.key.begin = static_cast<size_t>(key.data() - text);
                section.key.end = section.key.begin + key.size();
            }
            c.peek();
            section.value.begin = c.at();
            read_section(c, key, n, out);
            section.value.end = c.at();
            out.sections.push_back(section);
        });
    }
    if (!c.at_end()) c.fail("nothing behind the outermost value");
    return out;
}

}  // namespace maskmill
