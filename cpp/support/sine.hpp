// Sine and cosine that are the same on every platform: libraries differ in the last bit, and so would weights.
#pragma once

namespace maskmill {

// Within 0.51 units in the last place for |x| < 1000.
double sine(double x);
double cosine(double x);

}  // namespace maskmill
