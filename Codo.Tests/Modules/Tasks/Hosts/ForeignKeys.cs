namespace Codo.Tests.Modules.Tasks.Hosts;

/// <summary>Keys in forms that OpenSSH does not write, made for these tests and used nowhere. The passphrase of the locked ones is "pass phrase".</summary>
internal static class ForeignKeys
{
    public const string PuttyThree = """
        PuTTY-User-Key-File-3: ssh-ed25519
        Encryption: none
        Comment: codo test
        Public-Lines: 2
        AAAAC3NzaC1lZDI1NTE5AAAAINvIqPvpM/CzXqE10PLI6C92WSr+M+zBmis30ddO
        WJd4
        Private-Lines: 1
        AAAAIDXLCg5bebgN783O4UVxj9GlCeEt1ZmDjC9bzaoc4+Mq
        Private-MAC: 89789f77cefd2da74fb2108111c803461b5e4da4468a4e1fb67138e1b0f80b9b
        """;

    public const string PuttyThreeLocked = """
        PuTTY-User-Key-File-3: ssh-ed25519
        Encryption: aes256-cbc
        Comment: codo test
        Public-Lines: 2
        AAAAC3NzaC1lZDI1NTE5AAAAINvIqPvpM/CzXqE10PLI6C92WSr+M+zBmis30ddO
        WJd4
        Key-Derivation: Argon2id
        Argon2-Memory: 8192
        Argon2-Passes: 21
        Argon2-Parallelism: 1
        Argon2-Salt: c94db242b86be53511f9beba2155b527
        Private-Lines: 1
        oEG9qmwxypvxI/NfiZ4naM+Wgn1lru3AoXaedFX1p4le8n7+36GruIAnURFEpk2e
        Private-MAC: f5252ca67dbcb1f48c97af3ee48830043fd7b2badd4354e71df58d7f5a33a3f9
        """;

    public const string PuttyTwo = """
        PuTTY-User-Key-File-2: ssh-rsa
        Encryption: none
        Comment: codo test
        Public-Lines: 6
        AAAAB3NzaC1yc2EAAAADAQABAAABAQCynPs4klmTAe2VpixRXmxNcg/bOpRxQvFP
        4YmXrztM3VJFqfOoUA4cBLzFRoAbbdCWhwT3DODTAQ5J95XfJzFwUrll6IAOXhMK
        ml3G+tAhTaMZr45V1HrsnlYzuVAvq6ltTsJAqy1q9cAaV9zFAPEyIbZN400n4DWF
        r1surfHYudIDOpQd54KGVOeAMYddc6iWjmZMoRocWl7FsBLnjiBjCq0iZwiobMNH
        x+c5poDbb4Jr0zaA0olNa/DIIKDL/jd4B7Rv3WgUjk3O0z8ltyqpuLtuL1WbV4Qb
        vrwNBNIXPsTEoFCMnwXRWpNbGPgVcRNJRnVNFBuKF7yg45Ke82Uf
        Private-Lines: 14
        AAABADq/6OAsPztcDH5HONeQ09XLeUy2YYI5ry8Ds+LJOBupxrh0VNldb66mnkLT
        VCrxfYUtpyPtv/uXotAQmGLcvOXByAqtpYVUSzYXHVZoRFJX+5hkxtATglVXJWqA
        /0+WyrVSDRIBXACNEeF4Wf0QuMUxEopfBA9kL6anzbm2bFDJDYgW85VLpbbri0pG
        Y7elWb5stlB85hcMQ6x6HUUr125DJHsNW3X1o/P4lMPwTS2W/Ac0MsfgbUBLrYvb
        f4co1P1EVkFPNvx67nExhWX90W+w6LnOD/N5NEI8Ga9bcORt8UzdxUu6NRJl5rQF
        CFFIbn7feTt6DiRQDMjfv/WA5GEAAACBANpK4R13hHnHy1T0EiBPF5R573p5M6Nl
        5swsXKTmjH9qcAaWVDratm7RA3R/qpSQ+LRbESorR1PevEjnd2Tg+okyLw2XKOv0
        Wl3QplZ0fmPE5dn7FRvKbFSUQ71cgv0XKJcPyQugXIj30Sw8Xm6vKUZzV8/tc7A7
        eYYrs5MIw8O/AAAAgQDRd3FR4S/eBr6zv4rodcFYNEWbTMQGeDHIwWi84qUGujbB
        Ma7W6JR3m+P/z3XqWz4bztU6TGWgV2F8Q25qLBnnjGoHWOX6xESBTaR/MZilGeqM
        0H10695wsTm2+ONyqJyXeWnox2ElulVeML3MbbY0spEIs/uVBDC3jFtRNjU2oQAA
        AIEAnGvp0xhrSNG7nf9xDPDN+KOSyd4O+lPq1oZxid7MvfTcvgBlGRMJQT3jg3eK
        YjfSjuSk7yvJEopKd3uaAdTv4xbrG+WTYYUb0jgiSE+7dTC7iqTUuzxjjvyWGQEx
        qwKXKr43GKgahQR3NUzy+SlA/SkkRygrnYjtGG/Hjir4oHY=
        Private-MAC: de6c4aed93abe3ba49a6bad1a190d66c42bf315e
        """;

    public const string PuttyTwoLocked = """
        PuTTY-User-Key-File-2: ssh-rsa
        Encryption: aes256-cbc
        Comment: codo test
        Public-Lines: 6
        AAAAB3NzaC1yc2EAAAADAQABAAABAQCynPs4klmTAe2VpixRXmxNcg/bOpRxQvFP
        4YmXrztM3VJFqfOoUA4cBLzFRoAbbdCWhwT3DODTAQ5J95XfJzFwUrll6IAOXhMK
        ml3G+tAhTaMZr45V1HrsnlYzuVAvq6ltTsJAqy1q9cAaV9zFAPEyIbZN400n4DWF
        r1surfHYudIDOpQd54KGVOeAMYddc6iWjmZMoRocWl7FsBLnjiBjCq0iZwiobMNH
        x+c5poDbb4Jr0zaA0olNa/DIIKDL/jd4B7Rv3WgUjk3O0z8ltyqpuLtuL1WbV4Qb
        vrwNBNIXPsTEoFCMnwXRWpNbGPgVcRNJRnVNFBuKF7yg45Ke82Uf
        Private-Lines: 14
        Xgm1BAEcjzkET6JtwjAwAiiS83eCmwcvaxDPLS23pN+nwGAsS+/9xTII9Rq3LjKL
        uC1mEA720K1zSJOFYZinUJAZ0XK1qcW/u/sMaEDDVkeAtq2gDKD4THfvhr7k+Tbe
        MvRFiaQsv8HM8Dj2p1Ar9MwOXacLbqqrlVCZEjCgf3I7kgNaeDF8S2T5SeYqcyNc
        TFTC7Rkq68Q7ng4H2k2Ioq2f1StVw7zP+DDyFhMOmuo25QzD2rd9c9soxYpbtdiH
        17YP5STNl/NhJqvPvXzC0FL2qOGHCFOOLXv7Lf+DM7XqyEUV0w3HrG1LGgHkAtKM
        P6nO50Ivvz0xiD/HuQ+tEfGzvZ1p5/uLEPr5pnKpAApvXYbkGBpAvtugZmsEmC1/
        DuxEa/G+eQWfGBnoQIwFFvrlE9UNaTuK8nKlYcfaKnAOZNW//vRkKUmXFWx8rCc0
        ZcCyjh+v8FKhRHTfvPYdOuMNsvtXvvr4ygzwtBHkXd0jQjlflm1yaIU6M9Jg+Zol
        bDj00sVp5mauLzjPJBDZjhsMGpS6wm6279W1JCtYcheLq4OXmIl6TRgXV/Onnt1h
        0O3iUXztmQnRnZDsaiXlZepz8Iq0K4F9XTtCKeCReF4xMCudNZmAcD8Tvy6RX/8/
        mSCh3HlZOjiG/iECheCUUVZBvF9tAValytbbxZ8nI1XbX/g1V9y5t651erCX9dDN
        x39uF5ii5R5q5arTdjeTzfYV3F9SVFRewoMUpSt86w+QzyeEnp4Erh1PS62U7kJW
        vJp9aiyZi9aZdEcUNZENV+E5yVDBHOFkIVkWl3HoXqc9TIH3a0BJ0zTpnzDYdEA0
        eodSvLcDdENZDYwH/pbGnlS1U/Xp6UZU6Y2dYNTObzGo02zcDgbTcom+4/2i1Xib
        Private-MAC: cdea8bbd67621846abe2e5d96d05355ec2067063
        """;

    public const string SshCom = """
        ---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----
        Comment: "codo test"
        P2/56wAAA+4AAAA3aWYtbW9kbntzaWdue3JzYS1wa2NzMS1zaGExfSxlbmNyeXB0e3JzYS
        1wa2NzMXYyLW9hZXB9fQAAAARub25lAAADnwAAA5sAAAARAQABAAAH/jq/6OAsPztcDH5H
        ONeQ09XLeUy2YYI5ry8Ds+LJOBupxrh0VNldb66mnkLTVCrxfYUtpyPtv/uXotAQmGLcvO
        XByAqtpYVUSzYXHVZoRFJX+5hkxtATglVXJWqA/0+WyrVSDRIBXACNEeF4Wf0QuMUxEopf
        BA9kL6anzbm2bFDJDYgW85VLpbbri0pGY7elWb5stlB85hcMQ6x6HUUr125DJHsNW3X1o/
        P4lMPwTS2W/Ac0MsfgbUBLrYvbf4co1P1EVkFPNvx67nExhWX90W+w6LnOD/N5NEI8Ga9b
        cORt8UzdxUu6NRJl5rQFCFFIbn7feTt6DiRQDMjfv/WA5GEAAAgAspz7OJJZkwHtlaYsUV
        5sTXIP2zqUcULxT+GJl687TN1SRanzqFAOHAS8xUaAG23QlocE9wzg0wEOSfeV3ycxcFK5
        ZeiADl4TCppdxvrQIU2jGa+OVdR67J5WM7lQL6upbU7CQKstavXAGlfcxQDxMiG2TeNNJ+
        A1ha9bLq3x2LnSAzqUHeeChlTngDGHXXOolo5mTKEaHFpexbAS544gYwqtImcIqGzDR8fn
        OaaA22+Ca9M2gNKJTWvwyCCgy/43eAe0b91oFI5NztM/Jbcqqbi7bi9Vm1eEG768DQTSFz
        7ExKBQjJ8F0VqTWxj4FXETSUZ1TRQbihe8oOOSnvNlHwAABACca+nTGGtI0bud/3EM8M34
        o5LJ3g76U+rWhnGJ3sy99Ny+AGUZEwlBPeODd4piN9KO5KTvK8kSikp3e5oB1O/jFusb5Z
        NhhRvSOCJIT7t1MLuKpNS7PGOO/JYZATGrApcqvjcYqBqFBHc1TPL5KUD9KSRHKCudiO0Y
        b8eOKvigdgAABADRd3FR4S/eBr6zv4rodcFYNEWbTMQGeDHIwWi84qUGujbBMa7W6JR3m+
        P/z3XqWz4bztU6TGWgV2F8Q25qLBnnjGoHWOX6xESBTaR/MZilGeqM0H10695wsTm2+ONy
        qJyXeWnox2ElulVeML3MbbY0spEIs/uVBDC3jFtRNjU2oQAABADaSuEdd4R5x8tU9BIgTx
        eUee96eTOjZebMLFyk5ox/anAGllQ62rZu0QN0f6qUkPi0WxEqK0dT3rxI53dk4PqJMi8N
        lyjr9Fpd0KZWdH5jxOXZ+xUbymxUlEO9XIL9FyiXD8kLoFyI99EsPF5urylGc1fP7XOwO3
        mGK7OTCMPDvw==
        ---- END SSH2 ENCRYPTED PRIVATE KEY ----
        """;

    public const string SshComLocked = """
        ---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----
        Comment: "codo test"
        P2/56wAAA/MAAAA3aWYtbW9kbntzaWdue3JzYS1wa2NzMS1zaGExfSxlbmNyeXB0e3JzYS
        1wa2NzMXYyLW9hZXB9fQAAAAgzZGVzLWNiYwAAA6CXJYuldSRsbXmu8Mp/a/mt2BTLnV4F
        pIJhZ3PiLNv6PvNvuqGHDGuPMGaJt01PelbcI7BlXAHHdZT9qEQ5btRjXeqc0QLQFGNuDc
        djzG4g4izzVWLmCKgneGkS3j4W4BSLhY5xyj4l1yfY7v9sfs+75pEl1WJGQLI/Vyd4T6lU
        oC41P4B79+uLdJYSa5xJXGakFu2RQhVKUO1WB9ptUSRxkU9SudlvAfw1frZ9HkgcG3dmtO
        CNhUohXWB5/NJ2wCVfvByPOSxqnuP7YS07ebo3+BP9GSAwACntE+FtBPZ4DVO8YqtR+tVA
        0MTGR6GnsiWqw2o/f5LzmFMGEvWZ46ENiXHJNQ+GhuZXJ16vh8hTbn1cp0nOEeh3dPLn01
        ZAk8E/heb+SM7wkLtykBH71yT8R4ygDtjEAw6uu0BaQsxcQSdu6IXgOpx6pCrJQe0xmikG
        8NhoWq0XWLB6t9pkGpClZS3Hh2hDbxrt2htdL3LImJisaPpiEn2SMVpV/pAvqVsWGganT3
        zZS/UfPoKFkOolYL7RH5mjQCWEa5hIB2EGyo6qsym52uVsLNsTOkp2kiUBxlyNUH4iEYeM
        2Kb4GParoBDB09IuIdAkf782QnlI9VIq27fLsDpCXnpousSEmJIRTrSMKhnj4hdDmnzZoi
        SvuCXWCZid3RguqxcpMedAgVNhnZtCO6pDln3Fxhq+czUxJsliBxCZkaMJhL8UQWOyW69U
        3Tyzw05Wyt9AvZBzkFw05g1ayPuSt/bMM3MQVNe+TdNBrS53ApxpKTC1bC581IlbonoVF9
        GJrVPdx5PTSbP4FswwOCv6UBXModkeo0kVG7FGpQoBbCHDHNYcOlSCv8hBQl6E8Ywf29wu
        0NFrCjqsXRvOohAYtgvJKg0rG7Zm08GUityq+pzuEhsbqRUT2fBAl1hZmFOc6SccOnzMcr
        T5bbu+8rWf5+B5SwKpYLaZRpNCSzYr9qxIN5EZQ1KgC4g20HiXYKapCyGANDvpIW+j4yu3
        uWOcf4cOxWMM1TcOln1UTxYAHVY0ExD5RnddB2NPOuw6snfK6JsKh8A7HoXT+e/7HneygK
        EvXtDoYR7mcPtWWFjKcl9SCJW3dH8BJmXZS+z0HdPZwzEiOqlVS55J0XKN1IHnNYB26Byu
        CJfwt6O1pbuVGLzc8zu38cWko8tLcM2q7NGkax2yxTkZEHJzE1i1Tn7rPDhCqceAWpELbR
        Cwf/1Ak4fBgQdYoOOa
        ---- END SSH2 ENCRYPTED PRIVATE KEY ----
        """;
}
