#include "kernels/coco_json.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>

#include "support/parallel.hpp"

namespace maskmill {
namespace {

using json::Cursor;
using json::Slice;

constexpr int64_t kExact = int64_t{1} << 53;

// Reads the value of one known field. Returns false, with the value skipped and 0, if it is of another kind.
bool read_integer(Cursor& c, int64_t& out) {
    out = 0;
    const char first = c.peek();
    if (first != '-' && (first < '0' || first > '9')) {
        c.skip();
        return false;
    }
    const json::Number number = c.number();
    if (!number.is_integer || number.integer < -kExact || number.integer > kExact) return false;
    out = number.integer;
    return true;
}

bool read_double(Cursor& c, double& out, bool* is_integer = nullptr) {
    const char first = c.peek();
    if (first != '-' && (first < '0' || first > '9')) {
        c.skip();
        return false;
    }
    const json::Number number = c.number();
    out = number.value;
    const bool exact = !number.is_integer || (number.integer >= -kExact && number.integer <= kExact);
    const bool good = exact && std::isfinite(out);
    if (is_integer != nullptr) *is_integer = good && number.is_integer;
    return good;
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

// Polygons, skipped. True if they are as pycocotools takes them: lists of numbers, none huge, more than four in the
// first.
bool skip_polygons(Cursor& c) {
    bool good = true;
    size_t rings = 0;
    c.array([&] {
        size_t numbers = 0;
        if (c.peek() != '[') {
            good = false;
            c.skip();
            return;
        }
        c.array([&] {
            const char first = c.peek();
            if (first == '-' || (first >= '0' && first <= '9')) {
                good &= c.skip_number();
            } else {
                good = false;
                c.skip();
            }
            ++numbers;
        });
        if (rings++ == 0) good &= numbers > 4;
    });
    return good && rings > 0;
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

// A column begins with the first row that has it; rows before it hold 0.
template <class T>
class ColumnWriter {
  public:
    ColumnWriter(Buffer<T>& column, size_t width = 1) : column_(column), width_(width) {}

    void put(const T* values, bool has, size_t row, size_t rows_expected) {
        if (!started_) {
            if (!has) return;
            started_ = true;
            column_.reserve(rows_expected * width_);
            column_.resize(row * width_);
            std::fill(column_.begin(), column_.end(), T{});
        }
        T* const to = column_.room(width_);
        for (size_t k = 0; k < width_; ++k) to[k] = has ? values[k] : T{};
        column_.advance(width_);
    }

  private:
    Buffer<T>& column_;
    const size_t width_;
    bool started_ = false;
};

// Reads rows one behind the other. Files repeat the same keys in the same order, so each key's text, from the comma to
// the space behind the colon, is first compared with that of the row before.
class RowReader {
  public:
    // bytes: the text to come, for a guess at the number of rows.
    RowReader(CocoRows& rows, size_t bytes) : rows_(rows), bytes_(bytes) {}

    // False (with the value skipped) if the element is no object.
    bool read(Cursor& c) {
        if (c.peek() != '{') {
            c.skip();
            return false;
        }
        const size_t begin = c.at();
        row_ = Row{};
        read_object(c);
        if (rows_.n == 0) expected_ = bytes_ / (c.at() - begin + 1) + 16;
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
    struct SeenKey {
        std::string_view text;  // with what is around it, as in: , "bbox":
        uint32_t field;
    };

    void read_object(Cursor& c) {
        size_t k = 0;
        c.expect('{', "an object");
        for (;;) {
            // The first key stands behind '{', the others behind ','.
            if (k < keys_.size() && c.take_text(keys_[k].text)) {
                read_field(c, keys_[k++].field);
                continue;
            }
            const size_t begin = c.at();
            const bool first = c.text()[begin - 1] == '{';
            if (c.take('}')) return;
            if (!first) c.expect(',', "',' or '}'");
            if (c.peek() != '"') c.fail("a key in double quotes");
            bool escaped = false;
            const Slice key = c.string(escaped);
            c.expect(':', "':' after a key");
            const uint32_t field = escaped ? field_of(c.decode(key)) : field_of(c.view(key));
            c.skip_space();
            if (k < kMostKeys) {
                keys_.resize(k);  // what came behind it before is forgotten
                keys_.push_back({c.view({begin, c.at()}), field});
                ++k;
            }
            read_field(c, field);
        }
    }

    static uint32_t field_of(std::string_view key) {
        static constexpr std::pair<std::string_view, uint32_t> known[] = {{"id", kId},
                                                                          {"image_id", kImageId},
                                                                          {"category_id", kCategoryId},
                                                                          {"area", kArea},
                                                                          {"bbox", kBbox},
                                                                          {"score", kScore},
                                                                          {"iscrowd", kIscrowd},
                                                                          {"segmentation", kSegmentation},
                                                                          {"keypoints", kKeypoints},
                                                                          {"num_keypoints", kNumKeypoints},
                                                                          {"caption", kCaption},
                                                                          {"ignore", kIgnore}};
        for (const auto& [name, field] : known) {
            if (key == name) return field;
        }
        return 0;
    }

    void mark(uint32_t field, bool good) {
        row_.fields = good ? row_.fields | field : row_.fields & ~field;  // a later key of the same name wins
        row_.odd = good ? row_.odd & ~field : row_.odd | field;
    }

    void read_field(Cursor& c, uint32_t field) {
        switch (field) {
            case kId: return mark(kId, read_integer(c, row_.id));
            case kImageId: return mark(kImageId, read_integer(c, row_.image_id));
            case kCategoryId: return mark(kCategoryId, read_integer(c, row_.category_id));
            case kNumKeypoints: return mark(kNumKeypoints, read_integer(c, row_.num_keypoints));
            case kArea: return mark(kArea, read_double(c, row_.area));
            case kScore: {
                bool is_integer = false;
                mark(kScore, read_double(c, row_.score, &is_integer));
                row_.fields = is_integer ? row_.fields | kScoreIsInteger : row_.fields & ~uint32_t{kScoreIsInteger};
                return;
            }
            case kBbox: return mark(kBbox, read_doubles(c, row_.bbox, 4));
            case kIscrowd: return mark(kIscrowd, read_flag(c, row_.iscrowd));
            case kSegmentation:
                row_.segmentation = Segmentation{};
                return mark(kSegmentation, read_segmentation(c, row_.segmentation));
            case kKeypoints: {
                const bool good = c.peek() == '[';
                row_.keypoints = c.skip();
                return mark(kKeypoints, good);
            }
            case kCaption:
            case kIgnore: mark(field, true); break;
            default: break;
        }
        c.skip();
    }

    void store(uint64_t begin, uint64_t end) {
        const auto has = [&](uint32_t field) { return (row_.fields & field) != 0; };
        const size_t n = rows_.n++;
        rows_.any |= row_.fields;
        rows_.odd |= row_.odd;
        fields_.put(&row_.fields, true, n, expected_);
        begin_.put(&begin, true, n, expected_);
        end_.put(&end, true, n, expected_);
        id_.put(&row_.id, has(kId), n, expected_);
        image_id_.put(&row_.image_id, has(kImageId), n, expected_);
        category_id_.put(&row_.category_id, has(kCategoryId), n, expected_);
        area_.put(&row_.area, has(kArea), n, expected_);
        score_.put(&row_.score, has(kScore), n, expected_);
        bbox_.put(row_.bbox, has(kBbox), n, expected_);
        iscrowd_.put(&row_.iscrowd, has(kIscrowd), n, expected_);
        num_keypoints_.put(&row_.num_keypoints, has(kNumKeypoints), n, expected_);
        const Segmentation& s = row_.segmentation;
        const auto kind = static_cast<uint8_t>(s.kind);
        const uint64_t s_begin = s.slice.begin, s_end = s.slice.end;
        segmentation_kind_.put(&kind, has(kSegmentation), n, expected_);
        segmentation_begin_.put(&s_begin, has(kSegmentation), n, expected_);
        segmentation_end_.put(&s_end, has(kSegmentation), n, expected_);
        segmentation_size_.put(s.size, has(kSegmentation), n, expected_);
        const uint64_t k_begin = row_.keypoints.begin, k_end = row_.keypoints.end;
        keypoints_begin_.put(&k_begin, has(kKeypoints), n, expected_);
        keypoints_end_.put(&k_end, has(kKeypoints), n, expected_);
    }

    static constexpr size_t kMostKeys = 32;

    CocoRows& rows_;
    const size_t bytes_;
    size_t expected_ = 16;
    Row row_;
    std::vector<SeenKey> keys_;
    ColumnWriter<uint32_t> fields_{rows_.fields};
    ColumnWriter<uint64_t> begin_{rows_.begin}, end_{rows_.end};
    ColumnWriter<int64_t> id_{rows_.id}, image_id_{rows_.image_id}, category_id_{rows_.category_id};
    ColumnWriter<double> area_{rows_.area}, score_{rows_.score}, bbox_{rows_.bbox, 4};
    ColumnWriter<uint8_t> iscrowd_{rows_.iscrowd}, segmentation_kind_{rows_.segmentation_kind};
    ColumnWriter<int64_t> num_keypoints_{rows_.num_keypoints}, segmentation_size_{rows_.segmentation_size, 2};
    ColumnWriter<uint64_t> segmentation_begin_{rows_.segmentation_begin}, segmentation_end_{rows_.segmentation_end};
    ColumnWriter<uint64_t> keypoints_begin_{rows_.keypoints_begin}, keypoints_end_{rows_.keypoints_end};
};

// Joins one column of all pieces; rows of pieces that lack it hold 0.
template <class T>
void join_column(std::vector<CocoRows>& pieces, Buffer<T> CocoRows::* column, size_t width, size_t rows, CocoRows& to) {
    const auto has = [&](const CocoRows& piece) { return (piece.*column).size() > 0; };
    if (std::none_of(pieces.begin(), pieces.end(), has)) return;
    Buffer<T>& out = to.*column;
    out.resize(rows * width);
    size_t at = 0;
    for (CocoRows& piece : pieces) {
        Buffer<T>& own = piece.*column;
        if (own.size() > 0) {
            std::memcpy(out.data() + at, own.data(), own.size() * sizeof(T));
        } else {
            std::fill_n(out.data() + at, piece.n * width, T{});
        }
        at += piece.n * width;
        own = Buffer<T>();
    }
}

CocoRows join(std::vector<CocoRows>& pieces) {
    if (pieces.size() == 1) return std::move(pieces[0]);
    CocoRows to;
    for (const CocoRows& piece : pieces) {
        to.n += piece.n;
        to.any |= piece.any;
        to.odd |= piece.odd;
    }
    const size_t n = to.n;
    const std::function<void()> columns[] = {
        [&] { join_column(pieces, &CocoRows::bbox, 4, n, to); },
        [&] { join_column(pieces, &CocoRows::begin, 1, n, to); },
        [&] { join_column(pieces, &CocoRows::end, 1, n, to); },
        [&] { join_column(pieces, &CocoRows::id, 1, n, to); },
        [&] { join_column(pieces, &CocoRows::image_id, 1, n, to); },
        [&] { join_column(pieces, &CocoRows::category_id, 1, n, to); },
        [&] { join_column(pieces, &CocoRows::num_keypoints, 1, n, to); },
        [&] { join_column(pieces, &CocoRows::area, 1, n, to); },
        [&] { join_column(pieces, &CocoRows::score, 1, n, to); },
        [&] { join_column(pieces, &CocoRows::fields, 1, n, to); },
        [&] { join_column(pieces, &CocoRows::iscrowd, 1, n, to); },
        [&] { join_column(pieces, &CocoRows::segmentation_kind, 1, n, to); },
        [&] { join_column(pieces, &CocoRows::segmentation_begin, 1, n, to); },
        [&] { join_column(pieces, &CocoRows::segmentation_end, 1, n, to); },
        [&] { join_column(pieces, &CocoRows::segmentation_size, 2, n, to); },
        [&] { join_column(pieces, &CocoRows::keypoints_begin, 1, n, to); },
        [&] { join_column(pieces, &CocoRows::keypoints_end, 1, n, to); },
    };
    parallel_run(std::size(columns), [&](size_t i) { columns[i](); });
    return to;
}

// One thread's share of a long array.
struct Piece {
    CocoRows rows;
    bool all_objects = true;
    bool long_integers = false;
    bool ended = false;  // the array's ']' was read
    size_t stopped = 0;  // where the next element, or what follows the array, begins
    std::exception_ptr failure;
};

// Reads elements from c until one begins at `until` or beyond, or the array ends. The cursor is at an element.
void read_elements(Cursor& c, size_t until, size_t size, Piece& piece) {
    RowReader reader(piece.rows, std::min(until, size) - c.at());
    for (;;) {
        c.skip_space();
        piece.long_integers |= c.met_long_integer();
        if (c.at() >= until) {
            piece.stopped = c.at();
            return;
        }
        piece.all_objects &= reader.read(c);
        if (c.take(',')) continue;
        c.expect(']', "',' or ']'");
        piece.ended = true;
        piece.stopped = c.at();
        piece.long_integers |= c.met_long_integer();
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
bool read_rows(Cursor& c, size_t size, CocoRows& rows, bool& long_integers) {
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
            read_elements(own, until(p), size, pieces[p]);
        } catch (...) {
            pieces[p].failure = std::current_exception();  // may be a false start
        }
    });
    bool all_objects = true;
    std::vector<CocoRows> good;
    for (size_t p = 0; p < starts.size();) {
        Piece& piece = pieces[p];
        if (piece.failure) std::rethrow_exception(piece.failure);
        all_objects &= piece.all_objects;
        long_integers |= piece.long_integers;
        good.push_back(std::move(piece.rows));
        if (piece.ended) {
            c.move_to(piece.stopped);
            rows = join(good);
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
            read_elements(own, target, size, pieces[next]);
        }
        p = next;
    }
    c.fail("',' or ']'");
}

void read_images(Cursor& c, CocoImages& images) {
    c.array([&] {
        if (c.peek() != '{') {
            c.skip();
            images.odd |= kId | kNotObjects;
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
            categories.odd |= kId | kNotObjects;
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
            out.rows.odd |= kId | kNotObjects;
        } else if (!read_rows(c, size, out.rows, out.long_integers)) {
            out.rows.odd |= kId | kNotObjects;
        }
    } else if (key == "images") {
        out.images = CocoImages{};
        c.peek() == '[' ? read_images(c, out.images)
                        : static_cast<void>((c.skip(), out.images.odd |= kId | kNotObjects));
    } else if (key == "categories") {
        out.categories = CocoCategories{};
        c.peek() == '[' ? read_categories(c, out.categories)
                        : static_cast<void>((c.skip(), out.categories.odd |= kId | kNotObjects));
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
        if (!read_rows(c, n, out.rows, out.long_integers)) out.rows.odd |= kId | kNotObjects;
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
    out.long_integers |= c.met_long_integer();
    return out;
}

}  // namespace maskmill
