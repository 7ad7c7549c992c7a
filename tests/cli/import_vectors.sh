# Every format of vector files, with tiny files written byte by byte.
printf '\002\0\0\0\0\0\200\077\0\0\0\100\002\0\0\0\0\0\100\100\0\0\200\100' >x.fvecs   # [1 2] [3 4]
printf '\003\0\0\0\001\002\377\003\0\0\0\004\005\006' >x.bvecs                          # [1 2 255] [4 5 6]
printf '\002\0\0\0\007\0\0\0\377\377\377\377' >x.ivecs                                   # [7 -1]
printf '\002\0\0\0\002\0\0\0\0\0\200\077\0\0\0\100\0\0\100\100\0\0\200\100' >x.fbin
printf '\001\0\0\0\003\0\0\0\001\002\377' >x.u8bin
printf '\001\0\0\0\003\0\0\0\001\002\377' >x.i8bin
for format in fvecs bvecs ivecs fbin u8bin i8bin; do
    kith import db/$format x.$format | steady
    kith export db/$format
    kith export db/$format --format npy -o $format.npy -q | steady
    kith import db/npy_$format $format.npy --vector v | steady
    kith export db/npy_$format
done
kith info db | sed -E 's/ +[0-9.]+ k?B//; s/ +SIZE//'
# half and double precision
header() { printf '\223NUMPY\001\0\166\0%-117s\n' "{'descr': '$1', 'fortran_order': False, 'shape': ($2), }"; }
{ header '<f2' '1, 2'; printf '\0\074\0\300'; } >half.npy     # [1 -2]
{ header '<f8' '1, 1'; printf '\0\0\0\0\0\0\340\077'; } >double.npy # [0.5]
{ header '|u1' '0, 4'; } >none.npy
kith import db/half half.npy | steady && kith export db/half
kith import db/double double.npy | steady && kith export db/double
kith import db/none none.npy | steady && kith export db/none
# the first rows; two files in one commit
kith import db/first x.fvecs --rows 1 | steady
kith import db/two x.fvecs x.fbin | steady
kith export db/two
fails kith import db/three x.fvecs x.bvecs
fails kith export db/three
